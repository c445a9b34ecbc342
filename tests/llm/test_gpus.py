"""Whose time an endpoint's GPUs were taken for."""

import time

import pytest

import motet as mt
from motet.llm import LLM, Prompt, Usage
from motet.llm.gpus import Shared, held
from tests.llm.test_openai import chat, client_of, serving


def test_calls_of_one_time_share_it_evenly() -> None:
    now = [0.0]
    clock = Shared(lambda: now[0])
    alone = clock.enter()
    now[0] = 4.0
    joining = clock.enter()
    now[0] = 10.0
    assert clock.leave(alone) == 4 + 6 / 2
    now[0] = 11.0
    assert clock.leave(joining) == 6 / 2 + 1
    now[0] = 50.0
    late = clock.enter()
    now[0] = 52.0
    assert clock.leave(late) == 2, "while nobody calls, nobody pays"


def test_what_all_calls_pay_is_the_time_in_which_the_endpoint_worked() -> None:
    with (
        serving(lambda request, n: (200, {}, chat("hello")), pause=0.3) as url,
        client_of(LLM("any", url=url, gpus=2, parallel=4)) as llm,
    ):
        llm.complete([Prompt(str(i)) for i in range(4)], max_tokens=5)
        assert llm.usage.gpu_seconds == pytest.approx(2 * 0.3, rel=0.5)
        assert llm.usage.seconds > 4 * 0.3


def test_a_call_that_fails_is_paid_for_too() -> None:
    paid: list[Usage] = []
    llm = LLM("any", url="http://127.0.0.1:9/v1", gpus=1)

    def call() -> None:
        with held(llm, paid.append):
            time.sleep(0.05)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        call()
    assert paid[0].gpu_seconds >= 0.05
    assert (paid[0].prompts, paid[0].tokens_in) == (0, 0)


@pytest.mark.parametrize("gpus", [-1, float("nan"), float("inf")])
def test_gpus_are_a_number(gpus: float) -> None:
    with pytest.raises(mt.GraphError, match="no number of GPUs"):
        LLM("any", url="http://127.0.0.1:9/v1", gpus=gpus)


def test_what_runs_in_process_takes_none() -> None:
    with pytest.raises(mt.GraphError, match="takes no GPU"):
        LLM("smollm2-135m", gpus=1)
