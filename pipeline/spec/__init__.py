"""What a user asks for, validated, and what of it decides the bytes of the results."""
