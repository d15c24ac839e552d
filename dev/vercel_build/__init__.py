"""The real `vercel build`, in a throw-away copy of the project, and what it made."""
