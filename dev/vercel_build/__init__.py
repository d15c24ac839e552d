"""The real `vercel build`, in a throw-away copy of the project, and what it made."""

from dev.vercel_build.build import Build, build
from dev.vercel_build.bundle import Bundle
from dev.vercel_build.check import Finding, check
from dev.vercel_build.serve import serve_bundle
from dev.vercel_build.tool import BuildFailed

__all__ = ["Build", "BuildFailed", "Bundle", "Finding", "build", "check", "serve_bundle"]
