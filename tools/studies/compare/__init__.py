"""Is NSGA-II worth it? `searches` lets it compete with random search, `study` does so on a run's scores."""
