"""A fleet of thermostats and meters that exist only here: real meter data replayed, homes simulated, faults included.

It stands in for the world outside, so it imports nothing of the gateway: what the two agree on is the wire. Seeded
throughout: the same seed and start give the same bytes.

    homes = thermostats(1000, seed=7)
    messages = with_faults(simulate_messages(homes, window, seed=7), Faults(duplicates=0.05, malformed=0.01), seed=7)
    tally = publish(messages, Broker.at("mqtt://127.0.0.1:1883"))
"""
