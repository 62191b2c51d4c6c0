"""Measurements that tests are about."""

from bench.comparison import RATE, Measurement, Unit


def measured(
    row: str,
    registry: str,
    figure: float,
    *,
    unit: Unit = RATE,
    cpu_seconds: float = 1.0,
    requests: int = 0,
    errors: tuple[str, ...] = (),
) -> Measurement:
    return Measurement(
        row=row,
        unit=unit,
        registry=registry,
        figure=figure,
        moved_bytes=1 << 30,
        cpu_seconds=cpu_seconds,
        idle_memory_bytes=100 << 20,
        peak_memory_bytes=120 << 20,
        load_average=1.5,
        errors=errors,
        requests=requests,
    )
