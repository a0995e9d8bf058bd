"""What the measuring programs of this folder share, and all of `bench/run`."""
