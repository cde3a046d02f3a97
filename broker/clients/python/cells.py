"""What the Python programs share: reporting a cell, and the values that all rows send."""
import traceback


def cell(name, body):
    try:
        body()
        print(name, "pass", "", sep="\t", flush=True)
    except Exception as e:
        where = traceback.extract_tb(e.__traceback__)[-1]
        why = " ".join(f"{type(e).__name__}: {e} (line {where.lineno} of {where.name})".split())
        print(name, "fail", why, sep="\t", flush=True)


def check(ok, why):
    if not ok:
        raise AssertionError(why)


def numbered(start, end):
    return [f"value-{i}" for i in range(start, end)]


def large():
    return [f"{i:08d}" * 128 for i in range(100)]


def same(got, partitions, want):
    """got are pairs of partition and value; each partition must have its values in order."""
    for p in range(partitions):
        values = [v for q, v in got if q == p]
        check(values == want[p::partitions], f"partition {p}: {len(values)} values that are not the {len(want[p::partitions])} sent")
