"""Sans-io MQTT: bytes in, packets out, and back. Nothing here touches a socket, a session or a rule."""
