"""The networks: encoders, RefineNet's decoders, the input's normalisation, and what they cost."""
