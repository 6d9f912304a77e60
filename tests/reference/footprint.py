"""The estimate in kWh, TB, GB and years, as sustainability reports write it; slow, obvious, and sharing no code.

Numbers are written as in their sources. (low, central, high) are tuples.
"""

HDD = (0.25, 0.65, 0.89)  # W/TB
SSD = (0.16, 1.2, 1.52)
ZONES = {"3az": (1.5, 1.8, 3.0), "1az": (1.0, 1.33, 2.0)}
NETWORK = {
    "fixed": (0.05 / 450, 0.001, 0.0065),
    "mobile": (1.5 / 450, 1.5 / 450, 0.1),
}  # kWh/GB, from W/Mbps
BUSY, IDLE = (1.7, 3.5, 8.6), (0.47, 0.74, 2.17)  # W/vCPU
MEMORY = (0.284, 0.392, 0.625)  # W/GB
SERVER = (0.2, 0.4, 1.0)  # g/vCPU-h
PUE_BENEFIT, PUE_COST = (1.0, 1.15, 1.15), (1.10, 1.15, 1.35)


def storage_kwh(gigabytes: float, years: float, storage_class: str, bound: int, pue: float) -> float:
    medium, zones = storage_class.split("-")
    watts = gigabytes / 1000 * ZONES[zones][bound] * (HDD if medium == "hdd" else SSD)[bound]
    return watts * 8760 * years * pue / 1000


def network_kwh(gigabytes: float, downloads: float, access: str, bound: int) -> float:
    return gigabytes * downloads * NETWORK[access][bound]


def compute_kwh(cpu_hours: float, gigabyte_hours: float, reserved_hours: float | None, bound: int) -> float:
    watt_hours = cpu_hours * BUSY[bound] + gigabyte_hours * MEMORY[bound]
    if reserved_hours is not None:
        watt_hours = reserved_hours * IDLE[bound] + cpu_hours * (BUSY[bound] - IDLE[bound])
        watt_hours += gigabyte_hours * MEMORY[bound]
    return watt_hours * PUE_COST[bound] / 1000


def net(case: dict[str, float], storage_class: str, access: str, grid: float) -> list[tuple[float, float]]:
    """Return (kWh, g) at low, central and high that a case avoids, less what it uses.

    case  gigabytes (negative: more than before), years, downloads, cpu_hours, gigabyte_hours, reserved_hours (-1: none)
    """
    reserved = None if case["reserved_hours"] < 0 else case["reserved_hours"]
    result = []
    for bound in range(3):
        benefit, cost = bound, 2 - bound
        if case["gigabytes"] < 0:  # then bytes are a cost, too
            benefit, pue = cost, PUE_COST[cost]
        else:
            pue = PUE_BENEFIT[benefit]
        kwh = storage_kwh(case["gigabytes"], case["years"], storage_class, benefit, pue)
        kwh += network_kwh(case["gigabytes"], case["downloads"], access, benefit)
        kwh -= compute_kwh(case["cpu_hours"], case["gigabyte_hours"], reserved, cost)
        embodied = SERVER[cost] * (case["cpu_hours"] if reserved is None else reserved)
        result.append((kwh, kwh * grid - embodied))
    return result
