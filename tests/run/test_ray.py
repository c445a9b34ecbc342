"""The same graph on Ray: equal columns, equal answers, equal metrics, and what is said where it cannot be."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

import motet as mt
from bench import _kills, capacity
from motet.apply import Apply
from motet.batch import Array, Batch
from motet.fitted import published
from motet.run.ray import cluster, fits
from motet.run.ray.part import Part, Sent
from motet.run.ray.rows import Task, Worker
from motet.run.rows import Rows
from motet.serve import on_ray
from motet.serve.process import Settings
from motet.store.cells import Cells, row_hashes
from tests.contract.test_models import ASKS, GRAPHS, rows
from tests.serve.served import prepared
from tests.shop import Item, shop, stored

ray: Any = pytest.importorskip("ray", reason='needs Ray: pip install "motet[ray]"')
pytestmark = [  # Ray's own, at its import
    pytest.mark.filterwarnings("ignore:Using extra keyword arguments on .Field. is deprecated"),
    pytest.mark.filterwarnings("ignore:`use_:DeprecationWarning"),
]
ROOT = Path(__file__).resolve().parents[2]
SOON = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
TRAIN = 190 * 3_600_000_000


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """Ray's own test cluster: a head that computes nothing, and two nodes of a core each."""
    cluster.ray()
    from ray.cluster_utils import Cluster

    made: Any = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, "_system_config": SOON}
    )
    for _ in range(2):
        made.add_node(num_cpus=1)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def on(nodes: Any) -> mt.Ray:
    return mt.Ray(nodes.address, workers=2, wait=30)


@dataclass(frozen=True)
class Odd(mt.Model):
    """Reads some texts, cannot read others, and fails at some of those for now."""

    way: str = "reads"

    costly: ClassVar[bool] = True

    def __call__(self, text: mt.Text) -> mt.Number:
        return mt.column(mt.Number, self, text=text)

    def apply(self, state: mt.State, batch: Batch) -> Array:
        if self.way == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.way == "fails":
            raise ValueError("the text is odd")
        return np.array([float(len(text)) for text in batch["text"].to_pylist()])

    def block(self) -> int:
        return 3


@dataclass(frozen=True)
class Counted(mt.Model):
    """Learns how many texts there are, and says how far it is."""

    def __call__(self, text: mt.Text) -> mt.Number:
        return mt.column(mt.Number, self, fit=mt.learn(self, text=text), text=text)

    def fit(self, batch: Batch, target: Any) -> mt.State:
        for i in range(3):
            batch.progress(i + 1, 3, f"rounds in {os.getpid()}")
            time.sleep(1.0)
        return mt.State(texts=float(batch.rows))

    def apply(self, state: mt.State, batch: Batch) -> Array:
        return np.full(batch.rows, state["texts"])


def columns(fitted: mt.Fitted) -> list[Any]:
    context = fitted.context(fitted.data, fitted.prepared)
    return [np.asarray(context.shared(column)) for column in fitted.outline.outputs.values()]


def test_prepared_columns_are_equal_and_metered(on: mt.Ray, tmp_path: Path) -> None:
    meaning, length = mt.Embed("minilm-l6")(Item.name), Odd()(Item.name)
    graph, made = mt.Graph(meaning=meaning, length=length), list[Any]()
    for place, folder in ((None, "here"), (on, "there")):
        fitted = graph.fit(shop(items=40), store=tmp_path / folder, quiet=True)
        done = fitted.prepare(on=place)
        assert (done.rows, done.new) == (80, 80)
        made.append(columns(fitted))
        costs = [fitted.store.cost(column.fingerprint) for column in (meaning, length)]
        assert [cost and cost.rows for cost in costs] == [40, 40]
        assert all(cost and cost.seconds > 0 for cost in costs)
        assert fitted.prepare(on=place).new == 0
    for here, there in zip(*made, strict=True):
        np.testing.assert_allclose(here, there, atol=1e-6)


def test_workers_may_commit_to_another_file_system(on: mt.Ray, tmp_path: Path) -> None:
    place = mt.Ray(on.address, workers=2, wait=30, blocks=f"local://{tmp_path}/blocks")  # one of fsspec's
    fitted = mt.Graph(length=Odd()(Item.name)).fit(shop(items=20), store=tmp_path / "store", quiet=True)
    assert fitted.prepare(on=place).new == 20
    names = stored(fitted.data, Item, "name").to_pylist()
    assert columns(fitted)[0].tolist() == [len(name) for name in names]
    assert not [file for file in (tmp_path / "blocks").rglob("*") if file.is_file()], "what was taken in is deleted"


@pytest.mark.parametrize("kind", ["worker", "actor", "node"])
def test_a_kill_loses_and_repeats_nothing_that_was_committed(nodes: Any, on: mt.Ray, tmp_path: Path, kind: str) -> None:
    kill = {"worker": _kills.a_worker, "actor": _kills.an_actor, "node": _kills.a_node(nodes)}[kind]
    seen = _kills.killed(tmp_path, on, kill, rows=40)
    assert seen.left > 0, "nothing was killed while it worked"
    assert (seen.lost, seen.repeated, seen.right) == (0, 0, True)
    assert 40 <= seen.computed <= 48


TORCH = ("hstu", "dcn", "dcn of candidates", "torch", "torch, trained")  # as two_tower: 15 s each, to start Ray Train


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As many as a worker has: equal threads give equal states."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", [name for name in GRAPHS if name not in TORCH])
def test_what_is_fitted_there_answers_and_measures_the_same(on: mt.Ray, tmp_path: Path, name: str) -> None:
    graph = mt.Graph(out=GRAPHS[name]())
    train, test = mt.Data(rows()).split(at=TRAIN)
    here = graph.fit(train, store=tmp_path / "here", quiet=True)
    there = graph.fit(train, store=tmp_path / "there", quiet=True, on=on)
    assert there.ask_many(ASKS) == here.ask_many(ASKS)
    assert there.evaluate(test).to_dict()["figures"] == here.evaluate(test).to_dict()["figures"]
    there.prepare(on=on, name="kept")
    again = published(graph, name="kept", store=tmp_path / "there", quiet=True)
    assert again.ask_many(ASKS) == here.ask_many(ASKS)


@pytest.mark.parametrize("place", ["{}", "file://{}"])
def test_a_fit_writes_into_a_folder_of_its_own_and_deletes_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    cluster.ray()
    import ray.train.torch as package

    (tmp_path / "fits" / "another").mkdir(parents=True)
    (tmp_path / "fits" / "another" / "kept").touch()
    used: list[Path] = []

    class Trainer:
        def __init__(self, loop: Any, run_config: Any, **told: Any) -> None:
            used.append(Path(run_config.storage_path.removeprefix("file://")))

        def fit(self) -> Any:
            (used[-1] / "run").mkdir(parents=True)
            raise RuntimeError("it ends")

    monkeypatch.setattr(package, "TorchTrainer", Trainer)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="it ends"):
            fits._trained(Sent([], [], "", []), 1, place.format(tmp_path / "fits"))
    assert {each.parent for each in used} == {tmp_path / "fits"}
    assert used[0] != used[1]
    assert [each.name for each in (tmp_path / "fits").rglob("*")] == ["another", "kept"]


def test_how_far_a_fit_there_is_is_told_here(on: mt.Ray, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = mt.Graph(texts=Counted()(Item.name))
    fitted = graph.fit(shop(items=7), store=tmp_path, on=on)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "rounds" in line]
    assert re.fullmatch(r"fit Counted\(\): 3 of 3 rounds in \d+, \d s", line)
    assert f"in {os.getpid()}," not in line
    assert columns(fitted)[0].tolist() == [7.0] * 7


def test_what_fails_there_is_said_as_it_is_here(on: mt.Ray, tmp_path: Path) -> None:
    fitted = mt.Graph(length=Odd("fails")(Item.name)).fit(shop(), store=tmp_path, quiet=True)
    with pytest.raises(mt.RunError, match="failed: ValueError: the text is odd"):
        fitted.prepare(on=on)


def test_a_block_that_was_committed_is_not_computed_again(on: mt.Ray, tmp_path: Path) -> None:
    connected, node = cluster.connected(on), Odd("fails")(Item.name).node
    assert isinstance(node, Apply)
    texts, cells = stored(shop(), Item, "name"), Cells(tmp_path)
    hashes = row_hashes("column", [texts])
    cells.add(hashes[:3], np.ones(3))
    blocks = [np.arange(3), np.arange(2, 5)]
    made = Rows(mt.State(), {"text": texts}, ["text"], hashes)
    worker = Worker(Sent.of(connected, Task(Part.of(node), made, blocks, str(tmp_path), None, "run", 4)))
    said = worker({"item": np.arange(2)})["done"]
    assert (said[0].kept.rows, said[0].error) == (3, None)
    assert "the text is odd" in str(said[1].error)


def test_rows_that_kill_their_workers_are_refused(on: mt.Ray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("motet.run.ray.rows.TRIES", 1)
    fitted = mt.Graph(length=Odd("dies")(Item.name)).fit(shop(items=3), store=tmp_path, quiet=True)
    with pytest.raises(mt.RunError, match="a worker died 1 times at the same rows"):
        fitted.prepare(on=on)


def test_a_cluster_that_is_too_small_is_said_and_not_waited_for(nodes: Any) -> None:
    began = time.monotonic()
    with pytest.raises(mt.RunError, match=r"too small for 9 workers of 1 CPU: it has room for 2") as raised:
        cluster.connected(mt.Ray(nodes.address, workers=9, wait=1))
    assert raised.value.help == "mt.Ray(workers=2), or add nodes"
    assert time.monotonic() - began < 20


def test_a_cluster_that_others_use_is_said(nodes: Any, on: mt.Ray) -> None:
    cluster.connected(on)
    from ray.util.placement_group import placement_group, remove_placement_group

    taken = placement_group([{"CPU": 1}])
    taken.wait(20)
    try:
        with pytest.raises(mt.RunError, match="has room for 2 workers of 1 CPU, but others have used it for 1 s"):
            cluster.connected(mt.Ray(nodes.address, workers=2, wait=1))
    finally:
        remove_placement_group(taken)


def test_a_node_with_another_version_is_said(on: mt.Ray, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.connected(on)
    theirs = cluster.installed()
    monkeypatch.setattr(cluster, "installed", lambda: theirs | {"motet": "9.9"})
    with pytest.raises(mt.RunError, match=rf"node .* has motet {theirs['motet']}, and this process 9\.9") as raised:
        cluster.same_everywhere(ray)
    assert "install motet 9.9 on every node" in raised.value.help


def test_a_cluster_whose_nodes_do_not_fit_is_left_so_that_the_next_call_looks_again(
    on: mt.Ray, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray.shutdown()
    monkeypatch.setattr(cluster, "installed", lambda: {"motet": "9.9"})
    for _ in range(2):
        with pytest.raises(mt.RunError, match=r"and this process 9\.9"):
            cluster.connected(on)
        assert not ray.is_initialized()


def test_another_cluster_or_folder_than_this_process_has_joined_is_refused(on: mt.Ray) -> None:
    cluster.connected(on)
    cluster.connected(mt.Ray(workers=2, wait=30))
    said = rf"joined the Ray cluster at {on.address} already, and cannot have address='10\.0\.0\.1:6379' too"
    with pytest.raises(mt.RunError, match=said) as raised:
        cluster.connected(mt.Ray("10.0.0.1:6379", working_dir="."))
    assert raised.value.help == "leave address= out, or leave that cluster before: import ray; ray.shutdown()"
    with pytest.raises(mt.RunError, match=r"and cannot have working_dir='\.' too") as raised:
        cluster.connected(mt.Ray(on.address, working_dir="."))
    assert raised.value.help.startswith("leave working_dir= out")


def test_a_node_without_the_store_is_said(on: mt.Ray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("motet.run.ray.cluster.on_each_node", lambda package, look: {"10.0.0.2": False})
    with pytest.raises(mt.RunError, match=r"node 10\.0\.0\.2 does not see the store") as raised:
        cluster.shared(ray, tmp_path)
    assert raised.value.help == "a store in a folder that all nodes mount"


def test_another_ray_than_the_cluster_has_is_said(nodes: Any) -> None:
    said = cluster.refused(
        mt.Ray(nodes.address), RuntimeError("Version mismatch: The cluster was started with: Ray: 1")
    )
    assert "the cluster runs other versions than this process" in str(said)
    assert "help: install one Python and one Ray on both" in str(said)


def test_no_cluster_is_said_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(mt.RunError, match=f"there is no Ray cluster at {place}") as raised:
        cluster.reached(*mt.Ray(place).place or ("", 0))
    assert "ray start --head" in raised.value.help


def test_a_name_that_no_host_can_have_is_no_cluster() -> None:
    with pytest.raises(mt.RunError, match=r"there is no Ray cluster at a\.\.b:6379: .*label empty") as raised:
        cluster.reached(*mt.Ray("a..b:6379").place or ("", 0))
    assert "ray start --head" in raised.value.help


@pytest.mark.parametrize(
    ("answer", "said"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "something else listens"), (b"", "said nothing for 0.5 s")],
)
def test_a_port_that_is_no_ray_is_said_at_once(answer: bytes, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "REACHED", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"

        def answering() -> None:
            with server.accept()[0] as there:
                there.recv(99)
                there.sendall(answer)
                time.sleep(0 if answer else 1)

        threading.Thread(target=answering, daemon=True).start()
        with pytest.raises(mt.RunError, match=f"there is no Ray cluster at {place}: .*{said}") as raised:
            cluster.reached(*mt.Ray(place).place or ("", 0))
    assert "ray start --head" in raised.value.help


def test_a_ray_is_no_stranger(nodes: Any) -> None:
    cluster.reached(*mt.Ray(nodes.address).place or ("", 0))


def test_more_workers_than_this_machine_can_be_shared_among_are_refused() -> None:
    cores = len(os.sched_getaffinity(0))
    with pytest.raises(mt.RunError, match="9,999 workers of 1 CPU are too many") as raised:
        cluster.not_crowded(mt.Ray(workers=9999))
    assert raised.value.help.startswith(f"mt.Ray(workers={cores}), or the address of a larger cluster")


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(mt.RunError, match=r'pip install "motet\[ray\]"'):
        mt.Ray().runner(lambda node, cost: None, Path())


def test_nothing_in_the_core_imports_it() -> None:
    code = "import sys, motet, motet.cli, motet.serve; mt = motet.Ray(); sys.exit('ray' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(ROOT / "src")})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ray", mt.Ray()),
        ("ray://10.0.0.1:6379", mt.Ray("10.0.0.1:6379")),
        ("ray,workers=4,cpus=0.5", mt.Ray(workers=4, cpus=0.5)),
        ("ray,blocks=s3://films/rows,memory_gb=2", mt.Ray(blocks="s3://films/rows", memory_gb=2.0)),
    ],
)
def test_what_on_says(text: str, said: mt.Ray) -> None:
    assert mt.Ray.read(text) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("spark", "nothing runs on 'spark'; there is: ray"),
        ("ray,worker=4", "did you mean 'workers'"),
        ("ray,workers=many", "workers is a whole number, and 'workers=many' gives none"),
        ("ray,workers", "workers is a whole number, and 'workers' gives none"),
        ("ray,cpus=two", "cpus is a number, and 'cpus=two' gives none"),
        ("ray,blocks=", "blocks is a text, and 'blocks=' gives none"),
        ("ray,workers=0", "it takes a worker or more"),
        ("ray,cpus=nan", "each with some processor and memory"),
        ("ray,cpus=inf", "each with some processor and memory"),
        ("ray,memory_gb=inf", "each with some processor and memory"),
        ("ray,wait=nan", "a wait that ends"),
        ("ray://nowhere", "is no address of a Ray cluster"),
    ],
)
def test_what_on_cannot_say(text: str, said: str) -> None:
    with pytest.raises(mt.GraphError, match=said):
        mt.Ray.read(text)


def test_replicas_that_could_not_share_their_events_are_refused(tmp_path: Path) -> None:
    prepared(tmp_path)
    target = "tests/serve/served.py:goods"
    with pytest.raises(mt.RunError, match="2 replicas on 1 node cannot share an event log in a file") as raised:
        on_ray.serve(Settings(target, str(tmp_path)), mt.Ray(workers=2))
    assert "--events postgresql://" in raised.value.help


def test_more_replicas_than_this_machine_can_be_shared_among_are_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    prepared(tmp_path)
    with pytest.raises(mt.RunError, match="9,999 workers of 1 CPU are too many"):
        on_ray.serve(Settings("tests/serve/served.py:goods", str(tmp_path)), mt.Ray(workers=9999))


def test_the_application_of_a_service_is_made_from_its_arguments() -> None:
    cluster.ray()
    told = {"target": "tests/serve/served.py:goods", "store": "/store", "workers": 3, "cpus": 2}
    with pytest.raises(mt.RunError, match="3 replicas on 1 node cannot share"):
        on_ray.app(told)
    deployed = on_ray.app({**told, "events": "postgresql://here/events"})._bound_deployment
    assert (deployed.name, deployed.num_replicas, deployed.ray_actor_options) == ("goods", 3, {"num_cpus": 2})


GRAPH = """
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
import motet as mt

class Item(mt.Entity):
    item_id: mt.Key
    name: mt.Text

@dataclass(frozen=True)
class Size(mt.Model):
    costly: ClassVar[bool] = True

    def __call__(self, text: mt.Text) -> mt.Number:
        return mt.column(mt.Number, self, text=text)

    def apply(self, state, batch):
        print("said by a worker")
        return np.array([float(len(text)) for text in batch["text"].to_pylist()])

sizes = mt.Graph(size=Size()(Item.name))

def data() -> mt.Data:
    return mt.Data({Item: [{"item_id": i, "name": "x" * i} for i in range(20)]})
"""


def test_the_command_line_takes_a_graph_of_its_own_models_to_workers(tmp_path: Path) -> None:
    (tmp_path / "sizes.py").write_text(GRAPH)
    target = [f"{tmp_path}/sizes.py:sizes", "--store", str(tmp_path / "store"), "--quiet", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    environment.pop("RAY_ADDRESS", None)
    command = [sys.executable, "-m", "motet", "prepare", *target, "--on", "ray"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == '{"version": 1, "rows": 20, "computed": 20, "problems": {}}\n'


@dataclass
class Replies:
    """What clients were told until the server ended."""

    statuses: list[int]
    broken: int = 0


def asking(port: int, replies: Replies, over: threading.Event) -> None:
    while not over.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.connect()
        except OSError:
            return
        try:
            connection.request("POST", "/v1/ask", json.dumps({"buyer": "b1", "search": "tea", "amount": 3}))
            replies.statuses.append(connection.getresponse().status)
            if replies.statuses[-1] != 200:
                return
        except (OSError, http.client.HTTPException):
            replies.broken += 1
        finally:
            connection.close()


def test_a_replica_answers_as_the_graph_does_and_finishes_what_is_in_flight(tmp_path: Path) -> None:
    fitted = prepared(tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    target = ["tests/serve/served.py:goods", "--store", str(tmp_path), "--port", str(port)]
    command = [sys.executable, "-m", "motet", "serve", *target, "--on", "ray,workers=1"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), "OMP_NUM_THREADS": "1"}
    environment.pop("RAY_ADDRESS", None)
    served = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=environment)
    try:
        ask = {"buyer": "b3", "search": "tea", "amount": 2, "at": 2_000_000}
        body = json.dumps(ask)
        until, said = time.monotonic() + 90, b""
        while time.monotonic() < until and not said:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            try:
                connection.request("POST", "/v1/ask", body)
                reply = connection.getresponse()
                said = reply.read() if reply.status == 200 else b""
            except (OSError, http.client.HTTPException):
                time.sleep(0.2)
            finally:
                connection.close()
        assert json.loads(said)["answer"] == fitted.ask(**ask)
        over, replies = threading.Event(), Replies([])
        threads = [threading.Thread(target=asking, args=(port, replies, over)) for _ in range(4)]
        for thread in threads:
            thread.start()
        while len(replies.statuses) < 8:
            time.sleep(0.05)
        served.send_signal(signal.SIGTERM)
        out, errors = served.communicate(timeout=60)
        over.set()
        for thread in threads:
            thread.join(20)
    finally:
        if served.poll() is None:
            served.kill()
            served.wait(20)
    assert served.returncode == 0
    assert 200 in replies.statuses
    assert set(replies.statuses) <= {200, 404, 503}
    assert replies.broken == 0
    assert out == b""
    assert errors.decode() == f"goods is served on http://127.0.0.1:{port} by 1 replica on Ray\n"


def test_the_image_of_the_docs_sets_what_every_node_reads() -> None:
    said = (ROOT / "docs" / "scale.md").read_text()
    assert [name for name, value in on_ray.TUNED.items() if f"{name}={value}" not in said] == []
    mounted = set(re.findall(r"mountPath: (/\w+)", said))
    assert {f"/{place}" for place in re.findall(r"^ +(?:keys|store): /(\w+)", said, re.MULTILINE)} <= mounted
    assert len(set(re.findall(r'pip install "motet\[(.+?)\]"', said))) == 1, "what one place needs the other does too"


def test_the_table_of_capacity_is_what_is_computed() -> None:
    assert capacity.written() == capacity.table(capacity.units()), "python bench/capacity.py writes it anew"
