"""The meter's configuration `meter.json`: read once, checked, errors name field and remedy.

The keys are those of docs/reference/contracts.md; the firmware's README has the whole table.
Neighbour: `main`, which builds the meter from it.
"""

import binascii
import json

import capacity

_LEAST_WATCHDOG_S = 90
"""The link may be silent for a minute, and is then stopped, started and trusted again."""
_MOST = {"mv": 1000000, "mhz": 100000, "ma": 1000000, "w": 1000000}
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-"


class ConfigError(ValueError):
    """The configuration cannot be used; the text is `field: fault; remedy`."""


def _whole(table: dict, key: str, low: int, high: int, default, where: str = "") -> int:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(
            "%s%s: %r is not usable; give a whole number from %d to %d"
            % (where, key, value, low, high)
        )
    return value


def _text(table: dict, key: str, default, where: str = "") -> str:
    value = table.get(key, default)
    if not isinstance(value, str) or not value:
        raise ConfigError("%s%s: is missing or no text; give it in quotes" % (where, key))
    return value


def _flag(table: dict, key: str, default: bool, where: str = "") -> bool:
    value = table.get(key, default)
    if not isinstance(value, bool):
        raise ConfigError("%s%s: %r is not usable; give true or false" % (where, key, value))
    return value


def _table(table: dict, key: str, where: str = ""):
    value = table.get(key)
    if value is not None and not isinstance(value, dict):
        raise ConfigError("%s%s: is no object; give {…} or leave it out" % (where, key))
    return value


def _device(table: dict) -> str:
    device = _text(table, "device", None)
    edges = device[0] + device[-1]
    if len(device) > 32 or device.strip(_ALPHABET) or "-" in edges:
        raise ConfigError(
            "device: %r is not a device id; use 1 to 32 of a-z, 0-9, -, no - at the ends" % device
        )
    for letter in device:
        if letter not in _ALPHABET:
            raise ConfigError("device: %r is not allowed; use a-z, 0-9 and -" % (letter,))
    return device


def _serial(table: dict, device: str) -> str:
    serial = _text(table, "serial", device)
    if len(serial.encode()) > 31:  # what a register of an entry holds
        raise ConfigError("serial: %r has more than 31 octets; give a shorter one" % serial)
    return serial


def _key(table: dict) -> bytes:
    try:
        key = binascii.unhexlify(_text(table, "key", None))
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ConfigError("key: is not 64 hexadecimal digits; provision the meter again")
    return key


def _trips(table, loads: int) -> list:
    """Return arguments of `trips.Trip` for each kind that is given."""
    if table is None:
        return []
    from trip_kinds import KINDS  # noqa: PLC0415 - costs heap only when needed
    from trips import SIGNS  # noqa: PLC0415

    for name in table:
        if name not in [kind[0] for kind in KINDS]:
            raise ConfigError(
                "trips.%s: is not known; give %s" % (name, ", ".join([kind[0] for kind in KINDS]))
            )
    rows = []
    for kind, (name, unit) in enumerate(KINDS):
        row = _table(table, name, "trips.")
        if row is None:
            continue
        where = "trips.%s." % name
        for key in row:
            if key not in ("pick_up_" + unit, "drop_out_" + unit, "load", "delay_ms"):
                raise ConfigError("%s%s: is not known; leave it out" % (where, key))
        pick_up = _whole(row, "pick_up_" + unit, 1, _MOST[unit], None, where)
        drop_out = _whole(row, "drop_out_" + unit, 1, _MOST[unit], None, where)
        if (pick_up - drop_out) * SIGNS[kind] <= 0:
            raise ConfigError(
                "%sdrop_out_%s: %d lies not %s pick_up_%s; give the value that is good again"
                % (where, unit, drop_out, "below" if SIGNS[kind] > 0 else "above", unit)
            )
        load = _whole(row, "load", 0, 7, 0, where)
        if load >= loads:
            raise ConfigError("%sload: there is no load %d; declare it in loads" % (where, load))
        rows.append((kind, load, pick_up, drop_out, _whole(row, "delay_ms", 0, 3600000, 0, where)))
    return rows


class Config:
    """Checked values, with the units in their names; paths are complete."""

    def __init__(self, table: dict, folder: str) -> None:
        """Check a decoded configuration.

        Args:
            table: the JSON object.
            folder: folder of the file, from which relative paths count.

        Raises:
            ConfigError: naming the field.
        """
        if not isinstance(table, dict):
            raise ConfigError("meter.json: is no JSON object; begin it with {")
        self._folder = folder
        self.device = _device(table)
        self.key = _key(table)
        self.serial = _serial(table, self.device)
        broker = _table(table, "broker")
        if broker is None:
            raise ConfigError('broker: is missing; give {"host": "…", "port": 8883}')
        self.host = _text(broker, "host", None, "broker.")
        self.port = _whole(broker, "port", 1, 65535, 8883, "broker.")
        self.user = broker.get("user")
        if self.user is not None:
            self.user = _text(broker, "user", None, "broker.")
            self.password = _text(broker, "password", None, "broker.").encode()
        self.renewal_port = 0
        if "renewal_port" in broker:
            self.renewal_port = _whole(broker, "renewal_port", 1, 65535, None, "broker.")
        self.keep_alive_s = _whole(broker, "keep_alive_s", 5, 3600, 60, "broker.")
        self.tls = self._tls(_table(table, "tls"), broker)
        self.capture_period_s = _whole(table, "capture_period_s", 1, 86400, 900)
        if 60 % self.capture_period_s and self.capture_period_s % 60:
            raise ConfigError("capture_period_s: must divide a minute or be whole minutes")
        self.report_spread_s = _whole(table, "report_spread_s", 0, 3600, 0)
        self.state_dir = self.path(_text(table, "state_dir", "state"))
        self.ring_segments = _whole(table, "ring_segments", 3, 64, 8)
        least = 720 * self.ring_segments
        self.ring_bytes = _whole(table, "ring_bytes", least, 1 << 28, max(393216, least))
        if "ring_days" in table:
            self._check_ring(_whole(table, "ring_days", 1, 366, None))
        self.save_period_s = _whole(table, "save_period_s", 1, 86400, 60)
        self.tick_ms = _whole(table, "tick_ms", 20, 10000, 1000)
        self.quality = _flag(table, "quality", True)
        self.has_rtc = _flag(table, "rtc", True)
        self.rtc_error_s = _whole(table, "rtc_error_s", -86400, 86400, 0)
        self.watchdog_s = _whole(table, "watchdog_s", 0, 3600, 0)
        if 0 < self.watchdog_s < _LEAST_WATCHDOG_S:
            raise ConfigError(
                "watchdog_s: %d is not usable; give 0 or %d to 3600, for a silent broker must not"
                " reset the meter" % (self.watchdog_s, _LEAST_WATCHDOG_S)
            )
        self.oracle_log = table.get("oracle_log")
        if self.oracle_log is not None:
            self.oracle_log = self.path(_text(table, "oracle_log", None))
        self.tariff = _table(table, "tariff") or {}
        self.electricity = _table(table, "electricity")
        self.chip = {"calibration": table.get("calibration"), "pulses": table.get("pulses")}
        self.profiles = self.path(_text(table, "profiles", "profiles"))
        self._network(_table(table, "wifi"), _table(table, "sntp"))
        self._ems(_table(table, "ems"))
        self._actuators(table)

    def _check_ring(self, days: int) -> None:
        """Refuse a ring that holds fewer days than asked; not asked, the start says how many."""
        held_s = capacity.held_s(self.ring_bytes, self.ring_segments, self.capture_period_s)
        if held_s < days * 86400:
            raise ConfigError(
                "ring_bytes: %d hold %s of readings, ring_days asks %d days; give %d or more"
                % (
                    self.ring_bytes,
                    capacity.describe(held_s),
                    days,
                    capacity.needed_bytes(days * 86400, self.ring_segments, self.capture_period_s),
                )
            )

    def _tls(self, tls, broker: dict):
        if tls is None:
            return None
        anchors = tls.get("ca")
        if isinstance(anchors, list) and not 1 <= len(anchors) <= 2:
            raise ConfigError("tls.ca: lists %d files; give one or two" % len(anchors))
        names = anchors if isinstance(anchors, list) else [anchors]
        renew_from_s = 0
        if "renew_from" in tls:
            renew_from_s = _whole(tls, "renew_from", 1, 0xFFFFFFFF, None, "tls.")
        return {
            "server_name": _text(tls, "server_name", broker.get("host"), "tls."),
            "ca": [self._file({"ca": name}, "ca") for name in names],
            "cert": self._file(tls, "cert"),
            "key": self._file(tls, "key"),
            "renew_from": renew_from_s,
        }

    def _file(self, tls: dict, name: str) -> str:
        """Return the path of a file that is there."""
        path = self.path(_text(tls, name, None, "tls."))
        try:
            with open(path, "rb") as file:
                file.read(1)
        except OSError:
            raise ConfigError("tls.%s: no file %s; provision the meter again" % (name, path))
        return path

    def _network(self, wifi, sntp) -> None:
        self.wifi = self.sntp = None
        if wifi is not None:
            password = wifi.get("password", "")
            if not isinstance(password, str):
                raise ConfigError("wifi.password: is no text; leave it out for an open network")
            self.wifi = (_text(wifi, "ssid", None, "wifi."), password)
        if sntp is not None:
            port = _whole(sntp, "port", 1, 65535, 123, "sntp.")
            self.sntp = (_text(sntp, "host", None, "sntp."), port)

    def _ems(self, ems) -> None:
        self.ems_port = None
        self.ems_serial = False
        if ems is not None:
            self.ems_serial = _flag(ems, "serial", False, "ems.")
            self.ems_host = _text(ems, "host", "0.0.0.0", "ems.")
            port = _whole(ems, "port", 0 if self.ems_serial else 1, 65535, 7001, "ems.")
            self.ems_port = port or None
            self.ems_period_s = _whole(ems, "period_s", 1, 10, 5, "ems.")
            self.ems_clients = _whole(ems, "clients", 1, 8, 2, "ems.")

    def _actuators(self, table: dict) -> None:
        loads = table.get("loads", [{}])
        if not isinstance(loads, list) or len(loads) > 8:
            raise ConfigError("loads: is no list of at most 8; give [{…}, …]")
        self.loads = []
        for number, load in enumerate(loads):
            where = "loads[%d]." % number
            if not isinstance(load, dict):
                raise ConfigError("loads[%d]: is no object; give {…}" % number)
            safe_w = load.get("safe_w")
            if safe_w is not None:
                safe_w = _whole(load, "safe_w", 0, 1000000, None, where)
            share = _whole(load, "share_permille", 0, 1000, 300, where)
            row = (safe_w, share, _whole(load, "release_s", 0, 3600, 60, where))
            for key in ("min_on_s", "min_off_s", "hold_off_s"):
                row += (_whole(load, key, 0, 3600, 0, where),)
            self.loads.append(row + (_whole(load, "lock_out_trips", 0, 20, 0, where),))
        self.trips = _trips(_table(table, "trips"), len(self.loads))
        self.has_supply = _flag(table, "supply_relay", True)
        self.never_disconnect = _flag(table, "never_disconnect", False)
        self.utility_key = None
        if "utility_key" in table:
            try:
                self.utility_key = binascii.unhexlify(_text(table, "utility_key", None))
            except ValueError:
                pass
            if self.utility_key is None or len(self.utility_key) != 64:
                raise ConfigError("utility_key: is not x and y of a P-256 key in 128 hex digits")

    def path(self, name: str) -> str:
        """Return the complete path of a file that the configuration names."""
        return name if name.startswith("/") else self._folder + "/" + name


def load_config(path: str) -> Config:
    """Read and check a configuration file.

    Raises:
        ConfigError: not there, no JSON, or naming the field.
    """
    try:
        with open(path) as file:
            text = file.read()
    except OSError:
        raise ConfigError("--config: no file %s; provision the meter first" % path)
    try:
        table = json.loads(text)
    except ValueError:
        raise ConfigError("%s: is not JSON; check brackets, quotes and commas" % path)
    folder = path[: path.rindex("/")] if "/" in path else "."
    return Config(table, folder or "/")
