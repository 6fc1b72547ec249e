"""What runs on workers: read, then segment (or score masks, or fuse), then commit."""
