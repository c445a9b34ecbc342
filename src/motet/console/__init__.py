"""The console: pages that show what a server does. They read the same endpoints as everybody else."""
