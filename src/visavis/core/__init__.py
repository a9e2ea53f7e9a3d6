"""What every room stands on: types, errors, settings, tasks, the weight store, the two runtimes."""
