"""Speed and scores beside peers, each measured in one run: python -m benchmarks.NAME."""
