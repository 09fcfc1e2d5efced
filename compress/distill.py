"""Knowledge distillation (Hinton et al., arXiv:1503.02531): the student and its loss."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.prune import group_names, prune
from compress.train import Loss


def narrow(
    module: nn.Module, input_shape: tuple[int, int, int], width: float, fresh: bool
) -> nn.Module:
    """The student: a copy of `module` with every dependency group narrowed to `width` (0..1].

    It keeps the strongest channels' weights, or starts from freshly initialized ones (drawn from
    torch's global generator, which the caller seeds).
    """
    groups = len(group_names(module, input_shape))
    student = prune(module, input_shape, [width] * groups, "l2")
    if fresh:
        for layer in student.modules():
            reset = getattr(layer, "reset_parameters", None)
            if callable(reset):
                reset()
    return student


def distillation_loss(teacher_logits: Tensor, temperature: float, weight: float) -> Loss:
    """(1 - weight) * cross entropy + weight * T**2 * KL(teacher || student), both softened by T.

    `teacher_logits` (samples of the split, classes) are the teacher's answers, computed once.
    """
    targets = torch.softmax(teacher_logits / temperature, 1)

    def loss(logits: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        soft = functional.kl_div(
            torch.log_softmax(logits / temperature, 1), targets[indices], reduction="batchmean"
        )
        hard = functional.cross_entropy(logits, labels)
        return (1.0 - weight) * hard + weight * temperature**2 * soft

    return loss
