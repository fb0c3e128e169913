"""What a dock says, in the shape it has on the wire: plain dictionaries in the key order of real devices, made of our
own values.

Goes out: messages ready for ``encode``. Key orders and which keys exist follow docs/protocol.md 1, 2, 4 and a public
recording of a Dock 3 (May 2026); nothing here is shared with the code that reads these messages in the gateway.
"""

from __future__ import annotations

import json
import secrets
import time
import uuid
from collections.abc import Mapping
from typing import Any

from gateway.simulator.models import DockProfile

Json = dict[str, Any]

DOCK_OSD_FRAGMENTS = 3


def encode(message: Mapping[str, Any]) -> bytes:
    """Compact UTF-8, keys in the order given: what a device sends."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()


def new_id() -> str:
    return str(uuid.uuid4())


def now_ms() -> int:
    return time.time_ns() // 1_000_000


# -- topics: built, never taken apart ---------------------------------------------------------------------------------


def topic(sn: str, kind: str) -> str:
    """``kind`` is the end of the topic, e.g. ``osd`` or ``property/set``."""
    return f"thing/product/{sn}/{kind}"


def status_topic(sn: str) -> str:
    return f"sys/product/{sn}/status"


def dock_subscriptions(sn: str) -> tuple[str, ...]:
    """What a dock listens to under its own SN (docs/protocol.md 2); the aircraft's topics come once the server knows
    it.
    """
    kinds = ("requests_reply", "events_reply", "state_reply", "services", "property/set")
    return (f"{status_topic(sn)}_reply", *(topic(sn, kind) for kind in kinds))


def aircraft_subscriptions(sn: str) -> tuple[str, ...]:
    return (topic(sn, "state_reply"), topic(sn, "events_reply"))


# -- requests ---------------------------------------------------------------------------------------------------------


def request(method: str, data: object, *, gateway: str, tid: object = None, bid: object = None) -> Json:
    """``config`` names its gateway, the ``airport_*`` requests do not, and their keys stand in another order
    (docs/protocol.md 1).
    """
    tid, bid = new_id() if tid is None else tid, new_id() if bid is None else bid
    if method == "config":
        return {"bid": bid, "data": data, "gateway": gateway, "tid": tid, "timestamp": now_ms(), "method": method}
    return {"bid": bid, "tid": tid, "timestamp": now_ms(), "method": method, "data": data}


def config_data() -> Json:
    return {"config_scope": "product", "config_type": "json"}


def bind_status_data(profile: DockProfile) -> Json:
    return {"devices": [{"sn": sn} for sn in profile.device_sns]}


def organization_get_data(profile: DockProfile) -> Json:
    return {"device_binding_code": profile.binding_code, "organization_id": profile.organization_id}


def organization_bind_data(profile: DockProfile) -> Json:
    """Dock first here, aircraft first in the bind status: both orders occur (case C18)."""
    devices = [_wish(profile, profile.callsign, profile.sn, profile.model.key)]
    if profile.aircraft_sn is not None:
        devices.append(_wish(profile, f"{profile.callsign} bird", profile.aircraft_sn, profile.model.aircraft.key))
    return {"bind_devices": devices}


def _wish(profile: DockProfile, callsign: str, sn: str, model_key: str) -> Json:
    return {
        "device_binding_code": profile.binding_code,
        "organization_id": profile.organization_id,
        "device_callsign": callsign,
        "sn": sn,
        "device_model_key": model_key,
    }


def update_topo(profile: DockProfile, *, with_aircraft: bool = True, tid: object = None, bid: object = None) -> Json:
    """``sub_devices`` is empty when the aircraft is off or away (case C38). ``domain`` is text, type and sub_type are
    numbers.
    """
    version = profile.model.thing_version
    sub_devices = []
    if with_aircraft and profile.aircraft_sn is not None:
        sub_devices.append({
            "sn": profile.aircraft_sn, **_model_parts(profile.model.aircraft.key), "index": "A",
            "device_secret": secrets.token_hex(16), "nonce": secrets.token_hex(16), "thing_version": version,
        })  # fmt: skip
    return {
        "tid": new_id() if tid is None else tid,
        "bid": new_id() if bid is None else bid,
        "timestamp": now_ms(),
        "gateway": profile.sn,
        "method": "update_topo",
        "data": {
            **_model_parts(profile.model.key),
            "device_secret": secrets.token_hex(16),
            "nonce": secrets.token_hex(16),
            "thing_version": version,
            "sub_devices": sub_devices,
        },
    }


def _model_parts(key: str) -> Json:
    domain, kind, sub_kind = key.split("-")
    return {"domain": domain, "type": int(kind), "sub_type": int(sub_kind)}


# -- telemetry --------------------------------------------------------------------------------------------------------


def dock_osd(profile: DockProfile, fragment: int) -> Json:
    """The dock's OSD comes in three parts with different keys (case C32); the aircraft is named in the first only."""
    data = (_osd_weather, _osd_power, _osd_links)[fragment](profile)
    if fragment == DOCK_OSD_FRAGMENTS - 1:
        return {"bid": new_id(), "data": data, "tid": new_id(), "timestamp": now_ms(), "gateway": profile.sn}
    return {"tid": new_id(), "bid": new_id(), "timestamp": now_ms(), "data": data, "gateway": profile.sn}


def _osd_weather(profile: DockProfile) -> Json:
    data: Json = {
        "network_state": {"type": 2, "quality": 4, "rate": 512.5},
        "drone_charge_state": {"state": 1, "capacity_percent": 84},
        "drone_in_dock": 1 if profile.aircraft_sn else 0,
        "rainfall": 0, "wind_speed": 2.4, "environment_temperature": 11.3, "temperature": 23.9, "humidity": 61,
        "heading": 128.25, "home_position_is_valid": 1, "latitude": 47.0012345, "longitude": 8.0012345, "height": 441.7,
        "alternate_land_point": {
            "latitude": 47.00131, "longitude": 8.00117, "height": 0, "safe_land_height": 40, "is_configured": 1,
        },
        "first_power_on": 1704103200000,
        "position_state": {"is_calibration": 1, "is_fixed": 2, "quality": 5, "gps_number": 11, "rtk_number": 33},
        "storage": {"total": 52428800, "used": 4096},
        "mode_code": 0, "cover_state": 0, "silent_mode": 0, "supplement_light_state": 0, "emergency_stop_state": 0,
        "air_conditioner": {"air_conditioner_state": 0, "switch_time": 0},
        "battery_store_mode": 1, "alarm_state": 0, "putter_state": 0,
    }  # fmt: skip
    if profile.aircraft_sn is not None:
        data["sub_device"] = {
            "device_sn": profile.aircraft_sn,
            "device_model_key": profile.model.aircraft.key,
            "device_online_status": 1,
            "device_paired": 1,
        }
    return data


def _osd_power(_profile: DockProfile) -> Json:
    return {
        "job_number": 17, "acc_time": 86400, "activation_time": 1704103300, "deployment_mode": 1,
        "relative_alternate_land_point": {"longitude": 0, "latitude": 0, "safe_land_height": 40, "status": 1},
        "self_converge_coordinate": {"longitude": 8.00123, "latitude": 47.00124, "height": 440.2},
        "maintain_status": {"maintain_status_array": [
            {"state": 0, "last_maintain_type": 17, "last_maintain_time": 0, "last_maintain_work_sorties": 0},
        ]},
        "electric_supply_voltage": 231, "working_voltage": 47410, "working_current": 2900, "acdc_power_input": 151.5,
        "poe_link_status": 0, "poe_power_output": 0,
        "backup_battery": {"voltage": 13590, "temperature": 26.4, "switch": 1},
        "gimbal_holder_state": 0,
        "drone_battery_maintenance_info": {
            "maintenance_state": 0, "maintenance_time_left": 0, "heat_state": 0,
            "batteries": [{"index": 0, "capacity_percent": 84, "voltage": 24100, "temperature": 24.1}],
        },
        "temp_mode_state": False,
    }  # fmt: skip


def _osd_links(_profile: DockProfile) -> Json:
    return {
        "departure_point": {"height": 0, "latitude": 0, "longitude": 0}, "departure_point_status": 0, "drc_state": 0,
        "flighttask_prepare_capacity": 1, "flighttask_step_code": 5, "media_file_detail": {"remain_upload": 0},
        "sdr": {"down_quality": 100, "frequency_band": 2.4, "up_quality": 100},
        "tilt_angle": {"valid": 1, "value": 0.42},
        "user_experience_improvement": 2,
        "wireless_link": {
            "4g_freq_band": 5.8, "4g_gnd_quality": 0, "4g_link_state": 0, "4g_quality": 0, "4g_uav_quality": 0,
            "dongle_number": 0, "link_workmode": 0, "sdr_freq_band": 2.4, "sdr_link_state": 1, "sdr_quality": 5,
        },
    }  # fmt: skip


def aircraft_osd(profile: DockProfile) -> Json:
    """About a kilobyte, published under the aircraft's SN with the dock as ``gateway``."""
    camera = profile.model.aircraft.camera
    data = {
        camera: {
            "gimbal_pitch": 0, "gimbal_roll": 0, "gimbal_yaw": 128.4, "measure_target_distance": 0,
            "measure_target_error_state": 2, "payload_index": camera, "thermal_gain_mode": 2, "zoom_factor": 1.0,
        },
        "activation_time": 1704103400, "attitude_head": 128.4, "attitude_pitch": -0.6, "attitude_roll": 0.4,
        "battery": {
            "batteries": [{
                "capacity_percent": 84, "firmware_version": "01.00.00.01", "index": 0, "loop_times": 21,
                "sn": "SIMBATTERY0001", "sub_type": 0, "temperature": 24.1, "type": 0, "voltage": 24100,
            }],
            "capacity_percent": 84, "landing_power": 7, "remain_flight_time": 0, "return_home_power": 20,
        },
        "best_link_gateway": profile.sn, "country": "CH",
        "distance_limit_status": {"distance_limit": 2000, "is_near_distance_limit": 0, "state": 1},
        "elevation": 0, "gear": 1, "height": 441.9, "height_limit": 120, "home_distance": 0.1, "horizontal_speed": 0,
        "is_near_area_limit": 0, "is_near_height_limit": 0, "latitude": 47.0012345, "longitude": 8.0012345,
        "mode_code": 0, "night_lights_state": 0, "obstacle_avoidance": {"downside": 1, "horizon": 1, "upside": 1},
        "position_state": {"gps_number": 29, "is_fixed": 2, "quality": 5, "rtk_number": 33},
        "rc_lost_action": 2, "rid_state": True, "rth_altitude": 60, "storage": {"total": 60382000, "used": 851000},
        "total_flight_distance": 1204.5, "total_flight_sorties": 17, "total_flight_time": 5407.25, "track_id": "",
        "vertical_speed": 0, "wind_direction": 2, "wind_speed": 12,
    }  # fmt: skip
    return {"bid": new_id(), "data": data, "tid": new_id(), "timestamp": now_ms(), "gateway": profile.sn}


# -- events and state -------------------------------------------------------------------------------------------------


def hms(profile: DockProfile) -> Json:
    """Without ``need_reply`` (case C31), and its device_type is not the model key of the OSD (docs/protocol.md 1.6)."""
    domain, kind, _sub_kind = profile.model.aircraft.key.split("-")
    entry = {
        "args": {"component_index": 0, "sensor_index": 0}, "code": "0x1B030019", "device_type": f"{domain}-{kind}-0",
        "imminent": 0, "in_the_sky": 0, "level": 0, "module": 3,
    }  # fmt: skip
    return {
        "bid": new_id(), "data": {"list": [entry]}, "method": "hms",
        "tid": new_id(), "timestamp": now_ms(), "gateway": profile.sn,
    }  # fmt: skip


def state(
    profile: DockProfile, *, data: object = None, need_reply: int | None = 1, tid: object = None, bid: object = None
) -> Json:
    """A property that changed: no ``method``; with ``need_reply`` 1 it is sent again until acknowledged
    (docs/protocol.md 5.1).
    """
    message: Json = {
        "bid": new_id() if bid is None else bid,
        "data": data if data is not None else {"rth_mode": 1},
    }
    if need_reply is not None:
        message["need_reply"] = need_reply
    return message | {"tid": new_id() if tid is None else tid, "timestamp": now_ms(), "gateway": profile.sn}


def event(
    profile: DockProfile,
    method: str = "release_terminal_control_area",
    *,
    data: object = None,
    need_reply: int | None = 1,
    tid: object = None,
    bid: object = None,
) -> Json:
    """The default method is in no document, and devices want it acknowledged all the same (case C28)."""
    message: Json = {
        "bid": new_id() if bid is None else bid,
        "data": data if data is not None else {"flight_id": "", "reason": 2},
        "method": method,
    }
    if need_reply is not None:
        message["need_reply"] = need_reply
    return message | {"tid": new_id() if tid is None else tid, "timestamp": now_ms(), "gateway": profile.sn}


def airsense(profile: DockProfile, aircraft: int = 9) -> Json:
    """``data`` is an array (case C29), and the bid is a flight's id, not a UUID (case C30)."""
    traffic = [
        {
            "altitude": 1000 + 250 * number, "altitude_type": 0, "distance": 20000 + 3100 * number,
            "heading": 40.5 * number, "icao": f"4b{number:04x}",
            "latitude": 47.1 + number / 100, "longitude": 8.1 + number / 100,
            "relative_altitude": 560 + 250 * number, "vert_trend": 2, "warning_level": 1,
        }
        for number in range(aircraft)
    ]  # fmt: skip
    return event(profile, "airsense_warning", data=traffic, need_reply=0, bid="FLIGHT-SIM-1")
