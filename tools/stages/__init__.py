"""The four stages of a run, each a function of what the one before came to, and what they share."""
