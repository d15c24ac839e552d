"""`make bench-scale`: whole runs over ever more users, by the function as Vercel runs it."""
