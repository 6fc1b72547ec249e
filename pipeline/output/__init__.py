"""What lies in the output folder: parts, the mask table, the job's record, what is missing."""
