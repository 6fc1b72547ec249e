"""From scores to `summary.json`, `summary.parquet` and HTML pages."""
