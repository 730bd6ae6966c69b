"""Where bytes enter and leave: MQTT in, stores out. Sees sealed points only, except `ingest`, which is the rim."""
