"""MQTT connections, sessions and routing; with broker_plugins the only room that knows amqtt. See ``broker.GatewayBroker``."""
