"""Strategies that cheat are refused or exposed; those that do not are left in peace."""

from __future__ import annotations

import pytest
import torch
from quality.guard import Refused, SealedSplit, choice_key
from quality.laws import Watch
from quality.memory import PeakMemory
from quality.report import REPORT_FILE, write_report
from quality.rows import Rows
from quality.work import work

from DGSTSegmentLib.dgst.registry import STRATEGIES
from DGSTSegmentLib.dgst.strategies import make_strategy
from DGSTSegmentLib.networks.foundation import open_model

from .conftest import refusals

MEASURED = {"stage": "test", "target": {"dice": [1.0]}}


def after_each_step(change):
    """Makes strategies that call ``change(network, step)`` whenever they have stepped."""

    def make(*arguments, **options):
        strategy = make_strategy(*arguments, **options)
        honest, steps = strategy.step, []

        def step(**how):
            report = honest(**how)
            with torch.no_grad():
                change(strategy.network, len(steps))
            steps.append(report)
            return report

        strategy.step = step
        return strategy

    return make


def first_convolution(network):
    return next(module.weight for module in network.modules() if isinstance(module, torch.nn.Conv3d))


OF_TWO = ({"lr": 0.01, "gamma": 2},)


@pytest.mark.parametrize("name", STRATEGIES)
def test_an_honest_strategy_is_not_refused(small_benchmark, entrant, name):
    benchmark = small_benchmark(entrant(name), draws=1, many_draws=1)

    work(benchmark)

    assert refusals(benchmark) == []
    assert f"test/{name}/all/2/0" in benchmark.rows.read()


def test_a_strategy_that_moves_weights_which_it_did_not_select_is_refused_at_its_first_step(small_benchmark, entrant):
    def move_all(network, step):
        first_convolution(network).add_(1e-3)

    benchmark = small_benchmark(entrant("full"), entrant("dgst", make=after_each_step(move_all), configurations=OF_TWO))

    work(benchmark)

    (reason,) = refusals(benchmark)
    assert "weights of a row" in reason
    assert "at step 1, where 2 may move" in reason
    assert not any(key.startswith("test/dgst") for key in benchmark.rows.read())


def test_a_fixed_choice_of_weights_that_is_made_anew_is_exposed_at_the_end(small_benchmark, entrant):
    def make(law, *arguments, **options):
        return make_strategy("random", *arguments, **options)

    benchmark = small_benchmark(entrant("static", make=make, configurations=OF_TWO))

    work(benchmark)

    assert "of a row" in refusals(benchmark)[0]
    assert "in all, where 2 may move" in refusals(benchmark)[0]


@pytest.mark.parametrize("law", ["head", "decoder", "bias", "norm", "lora"])
def test_a_module_that_is_not_the_strategys_does_not_pass(tiny_model, law):
    model = open_model(tiny_model)
    network = model.network()
    watch = Watch(law, network, model.head, model.decoder)
    with torch.no_grad():
        first_convolution(network).add_(1e-3)

    with pytest.raises(Refused, match="which it must leave as it is"):
        watch.check_step()


def test_a_correction_of_higher_rank_than_its_name_allows_does_not_pass():
    network = torch.nn.Sequential(torch.nn.Linear(16, 16, bias=False), torch.nn.Linear(16, 1))
    watch = Watch("lora", network, head=["1"], decoder=[])
    with torch.no_grad():
        network[0].weight.add_(torch.randn(16, 8) @ torch.randn(8, 16))
        watch.check_finished(steps=0)
        network[0].weight.add_(1e-3 * torch.randn(16, 16))

    with pytest.raises(Refused, match="by more than rank 8"):
        watch.check_finished(steps=0)


def test_watching_a_step_takes_no_memory_for_the_weights_that_moved():
    network = torch.nn.Sequential(torch.nn.Linear(4096, 4096, bias=False))
    watch = Watch("full", network, head=["0"], decoder=[])
    with torch.no_grad():
        network[0].weight.add_(1.0)

    with PeakMemory(torch.device("cpu")) as memory:
        watch.check_step()

    assert memory.mb < 32, "the 64 MB of weights were copied again"
    watch.check_finished(steps=1)
    with torch.no_grad():
        network[0].weight.sub_(1.0)
    with pytest.raises(Refused, match="after the last step"):
        watch.check_finished(steps=1)


def test_running_statistics_do_not_change():
    network = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    watch = Watch("full", network, head=["0"], decoder=[])
    network(torch.randn(8, 4))

    with pytest.raises(Refused, match="changed the statistics 1.running_mean"):
        watch.check_finished(steps=0)


def test_what_moves_between_or_after_steps_is_noticed(tiny_model):
    model = open_model(tiny_model)
    network = model.network()
    watch = Watch("full", network, model.head, model.decoder)
    strategy = watch.over(make_strategy("full", network, head=model.head))
    with torch.no_grad():
        first_convolution(network).add_(1e-3)

    with pytest.raises(Refused, match="between steps"):
        strategy.step()
    with pytest.raises(Refused, match="after the last step"):
        watch.check_finished(steps=0)
    with pytest.raises(Refused, match="made 0 steps where every strategy makes 5"):
        watch.check_finished(steps=5)


def test_the_test_split_opens_once_and_only_for_what_was_chosen(tmp_path):
    rows = Rows(tmp_path)
    sealed = SealedSplit(("scan",), (), rows)

    with pytest.raises(Refused, match="before its configuration was chosen"):
        sealed.measure_once("full/all/1", 0, {"lr": 1}, lambda target, source: MEASURED)
    rows.append({"key": choice_key("full/all/1"), "configuration": {"lr": 1}})
    with pytest.raises(Refused, match="is chosen"):
        sealed.measure_once("full/all/1", 0, {"lr": 2}, lambda target, source: MEASURED)
    assert sealed.measure_once("full/all/1", 0, {"lr": 1}, lambda target, source: MEASURED)
    with pytest.raises(Refused, match="a second time"):
        sealed.measure_once("full/all/1", 0, {"lr": 1}, lambda target, source: MEASURED)
    for look in (list, lambda split: split[0]):
        with pytest.raises(Refused, match="cannot be looked at"):
            look(sealed)


def test_a_measure_that_was_cut_short_may_be_taken_again(tmp_path):
    rows = Rows(tmp_path)
    sealed = SealedSplit(("scan",), (), rows)
    rows.append({"key": choice_key("full/all/1"), "configuration": {}})

    def killed(target, source):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sealed.measure_once("full/all/1", 0, {}, killed)
    assert sealed.measure_once("full/all/1", 0, {}, lambda target, source: MEASURED)


def past_the_seal(split):
    return [scan.read() for scan in split._SealedSplit__target]


@pytest.mark.parametrize(
    ("look", "swallows", "reason"),
    [
        (list, False, "cannot be looked at"),
        (list, True, "cannot be looked at"),
        (past_the_seal, True, "was read while a strategy was being trained"),
    ],
)
def test_a_strategy_that_peeks_at_the_test_split_is_struck_and_named(small_benchmark, entrant, look, swallows, reason):
    holder = {}

    def peek(*arguments, **options):
        try:
            look(holder["benchmark"].pool.test)
        except Refused:
            if not swallows:
                raise
        return make_strategy(*arguments, **options)

    benchmark = holder["benchmark"] = small_benchmark(entrant("full"), entrant("dgst", make=peek))

    work(benchmark)

    rows = benchmark.rows.read()
    (told,) = refusals(benchmark)
    assert reason in told
    assert not any(key.startswith(("test/dgst", "choice/dgst")) for key in rows)
    folder = benchmark.rows.path.parent
    write_report(folder)
    assert "dgst was refused:" in (folder / REPORT_FILE).read_text(encoding="utf-8")


def test_a_strategy_that_measures_itself_on_the_test_split_while_it_trains_is_refused(small_benchmark, entrant):
    holder = {}

    def measure_first(*arguments, **options):
        benchmark = holder["benchmark"]
        chosen = benchmark.rows.get(choice_key("dgst/all/2"))
        if chosen is not None:
            benchmark.pool.test.measure_once("dgst/all/2", 0, chosen["configuration"], lambda *scans: MEASURED)
        return make_strategy(*arguments, **options)

    benchmark = holder["benchmark"] = small_benchmark(entrant("dgst", make=measure_first))

    work(benchmark)

    assert "while it was being trained" in refusals(benchmark)[0]
    assert not any("target" in row for key, row in benchmark.rows.read().items() if key.startswith("test/dgst"))
