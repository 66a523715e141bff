"""What calls leave to somebody: tasks of schemes, and messages to be heard."""

from __future__ import annotations

from kommutator.crm import tasks
from kommutator.desk import own
from kommutator.desk.auth.rights import OVERSEES
from kommutator.desk.operations import Asked, Feature
from kommutator.desk.problems import Problem
from kommutator.desk.tasks.forms import Task, Tasks, TasksQuery

feature = Feature("tasks", "What calls leave to somebody: tasks of schemes, and messages to be heard")


@feature.get("/api/tasks", query=TasksQuery, returns=Tasks)
async def list_tasks(asked: Asked, query: TasksQuery) -> Tasks:
    """Tasks that wait, the newest first."""
    async with asked.transaction() as tx:
        mine = await own.names(tx, asked.who)
        assigned = mine if query.assigned is None else [query.assigned]
        if not set(assigned) <= set(mine) and not asked.who.at_least(OVERSEES):
            raise Problem(403, "forbidden", "these tasks are somebody else's")
        found = await tasks.waiting(tx, assigned, limit=query.limit)
    return Tasks(items=[Task.model_validate(each) for each in found])


@feature.post("/api/tasks/<word:task_id>/close", returns=Task)
async def close_task(asked: Asked, task_id: str) -> Task:
    """It is done; the first one who says so counts."""
    async with asked.transaction() as tx:
        return Task.model_validate(await tasks.close(tx, task_id, asked.now))
