"""What the gateway is compared with. Each is a program that says `ready`, ends at SIGTERM, and says `stopped`."""
