"""Ideas are held to the same laws, measured on validation scans alone, and variants move nothing that did not move."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from quality import work as work_module
from quality.entrants import NOT_OF_THE_STRATEGY, Entrant, make_full_among, refuse_repetition
from quality.gammas import Gamma
from quality.ideas import _ideas, chosen_ideas
from quality.ideas_report import write_ideas_report
from quality.protocol import Cell, Piece, Protocol, pieces
from quality.scored import ScoredEntries, make_scored
from quality.scores import DIRECTIONS, SCORES, Seen
from quality.search import on_curve
from quality.tune import arguments_of
from quality.variants import Averaged, Variant, varied
from quality.work import work

from DGSTSegmentLib.dgst.moments import EPSILON, MEAN_DECAY, SQUARE_DECAY
from DGSTSegmentLib.dgst.partition import members
from DGSTSegmentLib.dgst.registry import DEFAULT_RULE, RULES
from DGSTSegmentLib.dgst.selection import top_entries
from DGSTSegmentLib.dgst.strategies import make_strategy
from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.networks.foundation import open_model

from .conftest import refusals

STEPS = 2
CHANGING = ("by-", "held", "gamma", "random-", "static-a", "adam-early")
"""Ideas that are the default but for one thing."""
BOTH = Protocol(steps=10, completeness=("all", "marked"))
SCORING = partial(make_scored, steps=STEPS)
ONLY_VALIDATION = {"draws": 0, "many_draws": 0, "choosing_draws": 1}
SCORED = {"lr": 0.01, "gamma": 2, "score": "mean", "direction": "adam"}


def idea(*configurations, make=SCORING, name="idea", law="dgst", **fields) -> Entrant:
    return Entrant(name, name, law, configurations, make, **fields)


def test_every_score_direction_scale_hold_and_gamma_keeps_the_law(small_benchmark):
    tried = [{**SCORED, "score": score} for score in SCORES]
    tried += [{**SCORED, "direction": direction, "scale": "row"} for direction in DIRECTIONS]
    tried += [{**SCORED, "hold": 2}, {**SCORED, "gamma": [4, 1]}, {**SCORED, "gamma": 0.1}]
    benchmark = small_benchmark(idea(*tried), **ONLY_VALIDATION)

    work(benchmark)

    assert refusals(benchmark) == []
    rows = [row for row in benchmark.rows.read().values() if row["strategy"] == "idea"]
    assert len(rows) == len(tried)
    assert all(row["weights_changed"] > 0 for row in rows)


def test_an_idea_that_moves_a_weight_which_it_did_not_select_is_refused(small_benchmark):
    def make(law, network, **options):
        strategy = SCORING(law, network, **options)
        honest = strategy.step

        def step(**how):
            report = honest(**how)
            with torch.no_grad():
                next(member for member in members(network) if member.has_rows).parameter.add_(1e-3)
            return report

        strategy.step = step
        return strategy

    benchmark = small_benchmark(idea(SCORED, make=make), **ONLY_VALIDATION)

    work(benchmark)

    assert "at step 1, where 2 may move" in refusals(benchmark)[0]


def test_at_each_step_the_gamma_of_that_step_counts(small_benchmark):
    def make(law, network, *, gamma, **options):
        return make_scored(law, network, steps=STEPS, gamma=max(gamma), **options)

    benchmark = small_benchmark(idea({**SCORED, "gamma": [4, 1]}, make=make), **ONLY_VALIDATION)

    work(benchmark)

    assert "at step 2, where 1 may move" in refusals(benchmark)[0]


@pytest.mark.parametrize(
    ("law", "make", "settings"),
    [("full", make_full_among, {"lr": 1e-3}), ("dgst", SCORING, SCORED)],
)
def test_who_is_confined_to_some_layers_moves_no_row_elsewhere(small_benchmark, law, make, settings):
    def unconfined(law, network, *, among, **options):
        return (make_strategy if law == "full" else make)(law, network, **options)

    honest = idea({**settings, "layers": "early"}, make=make, name="honest", law=law)
    liar = idea({**settings, "layers": "early"}, make=unconfined, name="liar", law=law)
    benchmark = small_benchmark(honest, liar, **ONLY_VALIDATION)

    work(benchmark)

    (reason,) = refusals(benchmark)
    assert "at step 1, which it must leave as it is" in reason
    (row,) = [row for row in benchmark.rows.read().values() if row["strategy"] == "honest"]
    assert row["weights_changed"] > 0


def test_ideas_never_open_the_test_split_and_may_be_given_more_draws(small_benchmark, monkeypatch):
    one = idea(SCORED, {**SCORED, "lr": 0.02})
    benchmark = small_benchmark(one, **ONLY_VALIDATION)
    opened = []
    monkeypatch.setattr(type(benchmark.pool.test), "measure_once", lambda *given: opened.append(given))

    work(benchmark)
    more = small_benchmark(one, **{**ONLY_VALIDATION, "choosing_draws": 2})
    work(more)

    rows = benchmark.rows.read()
    assert opened == []
    assert {row["stage"] for row in rows.values()} == {"choose"}
    assert len(rows) == 1 + 2 * 2
    seen = {name for row in rows.values() for part in ("target", "source") for name in row[part]["scans"]}
    assert seen == {"balls 20", "balls 30"}


@pytest.fixture
def kept_trainings(monkeypatch):
    """What ``tune`` returned, in order."""
    finished, honest = [], work_module.tune

    def kept(*arguments, **options):
        finished.append(honest(*arguments, **options))
        return finished[-1]

    monkeypatch.setattr(work_module, "tune", kept)
    return finished


@pytest.mark.parametrize("law", ["full", "dgst", "lora"])
def test_variants_of_one_training_leave_unmoved_weights_alone(small_benchmark, kept_trainings, law):
    variants = (Variant(averaged=True), Variant(scale=0.5))
    benchmark = small_benchmark(idea({"lr": 0.01}, make=make_strategy, law=law, variants=variants), **ONLY_VALIDATION)

    work(benchmark)

    assert refusals(benchmark) == []
    (row,) = [row for row in benchmark.rows.read().values() if row["strategy"] == "idea"]
    assert row["variants"].keys() == {"averaged x 1", "last x 0.5"}
    assert row["variants"]["last x 0.5"]["target"]["scans"] == row["target"]["scans"]
    (tuned,) = kept_trainings
    base, finished = benchmark.model.network().state_dict(), tuned.network.state_dict()

    def state(variant):
        return varied(tuned.network, base, tuned.mean_change, variant).state_dict()

    # Two steps: the last half is the last step, so that nothing else may differ either.
    for variant in variants:
        found = state(variant)
        assert any((found[name] != base[name]).any() for name in base)
        for name, value in found.items():
            unmoved = finished[name] == base[name]
            assert torch.equal(value[unmoved], base[name][unmoved])
    assert all(torch.equal(value, base[name]) for name, value in state(Variant(scale=0.0)).items())
    assert all(torch.allclose(value, finished[name]) for name, value in state(Variant()).items())
    halved = state(Variant(scale=0.5))
    assert all(torch.allclose(halved[name], (base[name] + finished[name]) / 2) for name in base)


def test_variants_are_made_of_a_network_that_measuring_had_taken_to_the_device(small_benchmark, monkeypatch):
    last_move, made_of = {}, []
    for name in ("to", "cpu"):
        plain = getattr(torch.nn.Module, name)

        def moved(module, *arguments, name=name, plain=plain):
            last_move[id(module)] = name
            return plain(module, *arguments)

        monkeypatch.setattr(torch.nn.Module, name, moved)

    def noted(network, *arguments):
        made_of.append(last_move[id(network)])
        return varied(network, *arguments)

    monkeypatch.setattr(work_module, "varied", noted)
    work(small_benchmark(idea({"lr": 0.01}, make=make_strategy, variants=(Variant(),)), **ONLY_VALIDATION))
    assert made_of == ["cpu"]


def stepped(strategy, steps):
    """The flattened weights after each step on batches that follow from the step's number."""
    weights = []
    for step in range(steps):
        torch.manual_seed(step)
        strategy.network(torch.randn(8, 4)).square().mean().backward()
        strategy.step()
        weights.append(torch.cat([value.flatten() for value in strategy.plain_state().values()]).clone())
    return weights


def linear():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Linear(6, 2))


def test_the_average_is_over_the_last_half_of_the_run():
    network = linear()
    base = torch.cat([value.flatten() for value in network.state_dict().values()]).clone()
    averaged = Averaged(make_strategy("full", network, head=["1"], lr=0.01), steps=5)

    weights = stepped(averaged, 5)

    change = torch.cat([value.flatten() for value in averaged.mean_change().values()])
    assert torch.allclose(base + change, torch.stack(weights[2:]).mean(0), atol=1e-6)


def test_adams_direction_on_every_weight_is_adam():
    network, other = linear(), linear()
    ours = make_scored("dgst", network, steps=4, head=["1"], lr=0.01, gamma=99, score="mean", direction="adam")
    adam = torch.optim.Adam(other[0].parameters(), lr=0.01, betas=(MEAN_DECAY, SQUARE_DECAY), eps=EPSILON)
    gradients = [torch.randn(6, 4, generator=torch.Generator().manual_seed(step)) for step in range(4)]

    for gradient in gradients:
        network[0].weight.grad, other[0].weight.grad = gradient.clone(), gradient.clone()
        ours.step()
        adam.step()

    assert torch.allclose(network[0].weight, other[0].weight, atol=1e-6)


def test_each_score_prefers_the_weight_that_its_name_says():
    seen = Seen(
        gradient=torch.tensor([[9.0, 1.0, 1.0, 1.0, 1.0, 1.0]]),
        mean=torch.tensor([[1.0, -8.0, 4.0, 1.0, 3.0, 7.5]]),
        square=torch.tensor([[100.0, 900.0, 16.0, 9999.0, 100.0, 900.0]]),
        weight=torch.tensor([[0.5, 0.5, 0.5, 0.5, 9.0, 0.0]]),
    )

    chosen = {name: int(top_entries(score(seen), 1)) for name, score in SCORES.items()}

    expected = {"gradient": 0, "mean": 1, "signal-to-noise": 2, "fisher": 3, "times-weight": 4, "over-weight": 5}
    assert chosen == expected


def test_a_kept_choice_changes_only_when_its_time_is_up():
    selector = ScoredEntries("gradient", Gamma.of(1), hold=2)
    chosen = []
    for step in range(4):
        gradient = torch.eye(4)[step : step + 1]
        selector.seen = Seen(gradient, gradient, gradient, gradient)
        chosen.append(selector.select("layer", gradient, step, 1).item())

    assert chosen == [0, 0, 2, 2]
    with pytest.raises(InputError, match="needs one gamma"):
        ScoredEntries("gradient", Gamma.of([4, 1], 10), hold=2)


def test_gamma_is_a_number_a_share_of_the_row_or_changes_over_the_run():
    assert [Gamma.of(16, 5).at(step, 1000) for step in range(5)] == [16] * 5
    assert [Gamma.of(0.01).at(0, length) for length in (27, 100, 1000)] == [1, 1, 10]
    assert [Gamma.of([9, 1], 5).at(step, 1000) for step in range(5)] == [9, 7, 5, 3, 1]
    for wrong in (0, 1.5, -1, [4, 0], [0.1, 0.2], "many"):
        with pytest.raises(InputError, match="gamma must be"):
            Gamma.of(wrong)


def test_ideas_differ_in_name_and_configuration():
    ideas = chosen_ideas(None, BOTH)

    refuse_repetition(list(ideas.values()))
    assert len(ideas) == len(list(_ideas(steps=10)))
    assert list(chosen_ideas(["by-fisher"], BOTH)) == ["full", "by-fisher"]
    with pytest.raises(InputError, match="There is no idea 'magic'; there are full"):
        chosen_ideas(["magic"], BOTH)


def test_ideas_that_change_one_thing_of_the_default_start_from_the_default():
    rule = RULES[DEFAULT_RULE]
    known = chosen_ideas(None, BOTH)
    changing = [one for name, one in known.items() if name.startswith(CHANGING)]

    tried = [configuration for one in changing for configuration in one.configurations]
    assert {configuration["layers"] for configuration in tried} == {rule.layers}
    of_other_gamma = {id(c) for name in ("gamma", "gamma-schedule", "gamma-share") for c in known[name].configurations}
    assert {c["gamma"] for c in tried if id(c) not in of_other_gamma} == {rule.gamma}


def test_distillation_is_tried_where_something_is_unknown_to_distil_on():
    ideas = chosen_ideas(None, BOTH)

    tried = {p.cell.completeness for p in pieces(BOTH, ideas) if p.configuration and "distillation" in p.configuration}
    assert tried == {"marked"}
    of_all = chosen_ideas(None, Protocol(completeness=("all",)))
    assert {name for name in ideas if name not in of_all} == {n for n in ideas if n.endswith("-distillation")}
    with pytest.raises(InputError, match="full-distillation needs --completeness marked"):
        chosen_ideas(["full-distillation"], Protocol(completeness=("all",)))


def test_every_configuration_of_every_idea_makes_a_strategy_of_its_law(tiny_model):
    model = open_model(tiny_model)

    for one in chosen_ideas(None, BOTH).values():
        for configuration in one.configurations:
            arguments = arguments_of(configuration, model)
            options = {name: value for name, value in arguments.items() if name not in NOT_OF_THE_STRATEGY}
            network = model.network()
            strategy = one.make(one.law, network, head=model.head, decoder=model.decoder, seed=0, **options)
            assert strategy.info.name == one.law
            assert strategy.lr == configuration["lr"]


def test_the_report_compares_every_configuration_and_variant_with_full_in_the_same_draw(small_benchmark, tmp_path):
    rates = ({"lr": 1e-4}, {"lr": 1e-2})
    full = idea(*rates, make=make_strategy, name="full", law="full", variants=(Variant(scale=0.5),))
    benchmark = small_benchmark(full, idea(SCORED), **{**ONLY_VALIDATION, "choosing_draws": 2})
    work(benchmark)

    summary = write_ideas_report(tmp_path, {"idea": "An idea"})

    rows = benchmark.rows.read()
    (setting,) = summary["settings"]
    points = setting["points"]
    assert [(p["idea"], p["variant"]) for p in points] == [("full", "as trained"), ("full", "last x 0.5")] * 2 + [
        ("idea", "as trained")
    ]
    (best,) = [p for p in points if p["is_reference"]]
    assert best["target_dice"] == max(p["target_dice"] for p in points if p["idea"] == "full" and p["trained"])
    assert best["target_minus_best"]["mean"] == best["source_minus_curve"]["mean"] == 0
    dice = {
        name: [rows[Piece("choose", Cell(name, "all", 2), n, c).key]["target"]["dice"][0] for n in range(2)]
        for name, c in (("full", best["configuration"]), ("idea", SCORED))
    }
    difference = (sum(dice["idea"]) - sum(dice["full"])) / 2
    assert points[-1]["target_minus_best"]["mean"] == pytest.approx(difference, abs=1e-5)
    assert points[-1]["target_minus_best"]["n"] == 2
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 1
    assert "An idea" in page
    assert "The test scans were not opened" in page
    assert len((tmp_path / "summary.csv").read_text(encoding="utf-8").splitlines()) == 1 + len(points)


def test_fulls_curve_is_a_line_through_its_points_and_ends_where_they_end():
    places = [(0.6, 0.5), (0.4, 0.9), (None, 0.3)]
    assert on_curve(places, 0.5) == pytest.approx(0.7)
    assert on_curve(places, 0.4) == pytest.approx(0.9)
    assert on_curve(places, 0.7) is None
    assert on_curve(places, None) is None
    assert on_curve(places[:1], 0.6) is None
