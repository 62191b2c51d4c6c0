"""Background work: each job on one worker at a time, under a lease."""
