"""What broker.yaml names: amqtt plugins that hand over to ``gateway``. Adapters only: no SQL, no JSON, no rule."""
