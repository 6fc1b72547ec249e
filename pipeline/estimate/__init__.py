"""What a job will take: sizes, operations, hours, price."""
