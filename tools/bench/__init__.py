"""The figures of docs/performance: each measured in one run beside the limit it is compared with."""
