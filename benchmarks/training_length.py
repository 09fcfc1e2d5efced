"""What originals reach by the length of their training: where `Recipe.epochs` is at the plateau.

    python benchmarks/training_length.py --task kws [--epochs 5,10,20,40] [--seeds 0]

Each length is a training of its own, since the learning rate follows a cycle of that length. Lines
are printed as they come, as a table: metrics on the splits, CPU seconds of one thread.
"""

import time
from dataclasses import replace

import typer

from compress.metrics.scale import MetricScale
from compress.pipeline.judge import judge_of
from compress.task_types.registry import rules_of
from compress.tasks import get_task
from compress.training.train import Schedule, fit, loss_of, predict, seed_torch
from compress.types import Dataset, Task


def main(task: str = "kws", epochs: str = "5,10,20,40", seeds: int = 1) -> None:
    """Train for each length with each seed and print a line of the table each."""
    wanted = get_task(task)
    data = wanted.load()
    print("| epochs | seed | train | validation | test | CPU s |\n|---:|---:|---:|---:|---:|---:|")
    for length in map(int, epochs.split(",")):
        for seed in range(seeds):
            values, seconds = trained(wanted, data, length, seed)
            scale = MetricScale(judge_of(wanted, data).metric.name)
            shown = " | ".join(scale.text(value, 2) for value in values)
            print(f"| {length} | {seed} | {shown} | {seconds:.0f} |", flush=True)


def trained(task: Task, data: Dataset, epochs: int, seed: int) -> tuple[list[float], float]:
    """The metric on train, validation and test after `epochs`, and the CPU seconds of training."""
    rules, judge = rules_of(task), judge_of(task, data)
    seed_torch(seed)
    module = task.net()
    began = time.process_time()
    recipe = replace(task.recipe, epochs=epochs)
    train = rules.training_split(data.train)
    fit(module, train, Schedule(recipe, epochs, seed), loss=loss_of(rules))
    seconds = time.process_time() - began
    splits = (data.train, data.val, data.test)
    outputs = [rules.in_numpy(predict(module, split.x).numpy()) for split in splits]
    pairs = zip(outputs, splits, strict=True)
    return [judge.value(answers, split) for answers, split in pairs], seconds


if __name__ == "__main__":
    typer.run(main)
