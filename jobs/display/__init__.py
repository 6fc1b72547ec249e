"""What people and programs are shown of a run: progress, and results as tables and lines."""
