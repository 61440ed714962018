"""Whether everything works on a machine: `checks` goes through its `environment`, and a self-test."""
