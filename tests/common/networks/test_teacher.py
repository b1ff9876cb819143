import torch
from torch import nn

from common.networks import make_teacher


def test_teacher_equals_the_student_but_takes_no_gradient():
    student = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    teacher = make_teacher(student)
    assert all(p.requires_grad for p in student.parameters())
    assert not any(p.requires_grad for p in teacher.parameters())
    for name, value in student.state_dict().items():
        assert torch.equal(teacher.state_dict()[name], value)


def test_teacher_shares_no_storage_with_the_student():
    student = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    teacher = make_teacher(student)
    own = {t.data_ptr() for t in teacher.state_dict().values()}
    assert not own & {t.data_ptr() for t in student.state_dict().values()}


def test_frozen_parameters_are_shared():
    student = nn.Sequential(nn.Linear(2, 3).requires_grad_(False), nn.Linear(3, 1))
    teacher = make_teacher(student)
    assert teacher[0].weight is student[0].weight and teacher[1].weight is not student[1].weight
