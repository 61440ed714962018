"""Whether everything works on a machine: `checks` goes through its `environment`, `shadowing` and a self-test."""
