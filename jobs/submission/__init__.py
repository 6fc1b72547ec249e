"""Jobs on a Ray cluster: submitting them with their code, watching and stopping them."""
