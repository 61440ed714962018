"""What a run will cost: its work by formula, its memory by count, its time by a short measurement."""
