"""What makes a running gateway of the rooms below: configuration, wiring, supervision."""
