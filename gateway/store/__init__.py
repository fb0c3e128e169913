"""The only room that opens the database: functions go in, frozen records come out; no rule of MQTT lives here."""
