"""Losses against recorded numbers."""

import numpy as np
import pytest
import torch
from helpers import GOLDEN

from neurotorch import losses
from neurotorch.metrics import NLLLoss, PVarianceLoss, RMSELoss, SMSEloss, pvar_per_sample


@pytest.fixture(scope="module")
def recorded():
    with np.load(GOLDEN / "learning" / "metrics.npz", allow_pickle=False) as archive:
        arrays = {key: np.asarray(archive[key]) for key in archive.files}
        return {key: torch.from_numpy(array) for key, array in arrays.items() if array.dtype.kind in "fi"}


@pytest.mark.parametrize("reduction", ["mean", "feature", "none"])
@pytest.mark.parametrize("negative", [False, True])
def test_p_variance(recorded, reduction, negative):
    value = PVarianceLoss(negative=negative, reduction=reduction)(recorded["y_pred"], recorded["y_true"])
    key = f"PVarianceLoss{'_neg' if negative else ''}/{reduction}"
    torch.testing.assert_close(value, recorded[key], rtol=1e-5, atol=1e-6)


def test_p_variance_over_batch_and_gradient(recorded):
    prediction = recorded["y_pred"].clone().requires_grad_()
    mean, std = PVarianceLoss().mean_std_over_batch(prediction, recorded["y_true"])
    torch.testing.assert_close(mean.detach(), recorded["PVarianceLoss/mean_over_batch"])
    torch.testing.assert_close(std.detach(), recorded["PVarianceLoss/std_over_batch"])
    PVarianceLoss()(prediction, recorded["y_true"]).backward()
    torch.testing.assert_close(prediction.grad, recorded["PVarianceLoss/grad"])


def test_errors(recorded):
    prediction, target = recorded["y_pred"], recorded["y_true"]
    torch.testing.assert_close(RMSELoss()(prediction, target), recorded["RMSELoss"])
    torch.testing.assert_close(SMSEloss()(prediction, target), recorded["SMSEloss/mean"])
    torch.testing.assert_close(SMSEloss(reduction="none")(prediction, target), recorded["SMSEloss/none"])
    feature = SMSEloss(reduction="feature")(prediction, target)
    torch.testing.assert_close(feature, 1 - PVarianceLoss(reduction="feature")(prediction, target))


def test_negative_log_likelihood(recorded):
    log_p, target = recorded["logp"], recorded["target"].long()
    torch.testing.assert_close(NLLLoss()(log_p, target), recorded["NLLLoss"])
    one_hot = torch.nn.functional.one_hot(target, 5)
    torch.testing.assert_close(NLLLoss(target_as_one_hot=True)(log_p, one_hot), recorded["NLLLoss_onehot"])
    time_first = log_p.transpose(0, 1).contiguous().transpose(0, 1)
    torch.testing.assert_close(NLLLoss()(time_first, target), recorded["NLLLoss"])


def test_unknown_reduction_is_named():
    for loss in (PVarianceLoss, SMSEloss):
        with pytest.raises(AssertionError, match="reduction.*'median'"):
            loss(reduction="median")


def test_metric_form_equals_the_recorded_one(recorded):
    values = pvar_per_sample(recorded["y_pred"], recorded["y_true"])
    np.testing.assert_allclose(values, recorded["compute_p_var/none"].numpy(), rtol=1e-5)


def test_exported_at_the_top():
    assert losses.PVarianceLoss is PVarianceLoss


def test_epsilon_of_the_standardised_error():
    x, y = torch.ones(2, 3), torch.zeros(2, 3)
    assert SMSEloss(epsilon=0.5)(x, y) == 2.0
    torch.testing.assert_close(SMSEloss()(inputs=x, target=y).item(), 1e5, rtol=1e-3, atol=0)
