"""Any fsspec URL: names, listing, reading, atomic writing, retries, and errors in words."""
