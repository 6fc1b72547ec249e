"""How people start and watch jobs."""
