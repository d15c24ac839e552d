"""The project's functions under the real `vercel-runtime`, behind a stand-in for Vercel's edge."""

from dev.functions.edge import Functions

__all__ = ["Functions"]
