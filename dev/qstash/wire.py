"""The API's JSON for what the stand-in keeps; what is not set is left out."""

import base64
from typing import Any

from dev.qstash.callback import NO_ANSWER, grouped, milliseconds
from dev.qstash.flow_control import FlowKey
from dev.qstash.letter import Letter
from dev.qstash.message import DeadLetter, Event, Message, State
from dev.qstash.schedule import Schedule

type Json = dict[str, Any]

# an event spells these otherwise than a message does
_EVENT_NAMES = {
    "callbackHeader": "callbackHeaders",
    "failureCallbackHeader": "failureCallbackHeaders",
    "retryDelayExpression": "retryDelayExpr",
}
_TICK_STATES = {State.DELIVERED: "SUCCESS", State.FAILED: "FAIL", State.CANCELLED: "FAIL"}


def message_json(message: Message) -> Json:
    """Return a message as `GET /v2/messages/{id}` answers it."""
    return {
        "messageId": message.message_id,
        "url": message.url,
        "maxRetries": message.letter.retries,
        "notBefore": milliseconds(message.due),
        "createdAt": milliseconds(message.created),
        **_letter(message.letter),
        **_given(scheduleId=message.schedule_id),
        **_text("body", message.body),
    }


def dead_letter_json(dead: DeadLetter) -> Json:
    """Return an entry of the DLQ: the message, and its last answer."""
    status = dead.delivery.status
    answer = dead.delivery.response_body or (dead.delivery.error or "").encode()
    return {
        **message_json(dead.message),
        "dlqId": dead.dlq_id,
        "responseStatus": NO_ANSWER if status is None else status,
        "responseHeader": grouped(dead.delivery.response_headers),
        **_text("responseBody", answer),
    }


def schedule_json(schedule: Schedule) -> Json:
    """Return a schedule."""
    letter, last = schedule.letter, schedule.last
    states = {last.message_id: _TICK_STATES.get(last.state, "IN_PROGRESS")} if last else None
    return {
        "scheduleId": schedule.schedule_id,
        "destination": letter.url,
        "cron": schedule.cron,
        "createdAt": milliseconds(schedule.created),
        "retries": letter.retries,
        "isPaused": schedule.paused,
        "nextScheduleTime": milliseconds(schedule.next_time),
        **_letter(letter),
        **_text("body", letter.body),
        **_given(
            delay=round(letter.delay) or None,
            timeout=None if letter.timeout is None else round(letter.timeout),
            lastScheduleTime=_moment(schedule.last_time),
            lastScheduleStates=states,
        ),
    }


def event_json(event: Event) -> Json:
    """Return one entry of the log; bodies are in base64 here."""
    letter, delivery = event.message.letter, event.delivery
    kept = {_EVENT_NAMES.get(name, name): value for name, value in _letter(letter).items()}
    answer = {}
    if delivery and event.state is State.ERROR:
        answer = _given(
            error=delivery.error,
            responseStatus=delivery.status,
            responseHeader=grouped(delivery.response_headers),
            responseBody=base64.b64encode(delivery.response_body).decode(),
        )
    return {
        "time": milliseconds(event.time),
        "messageId": event.message.message_id,
        "state": event.state.value,
        "url": letter.url,
        "maxRetries": letter.retries,
        "body": base64.b64encode(letter.body).decode(),
        **kept,
        **answer,
        **_given(
            nextDeliveryTime=_moment(event.due),
            scheduleId=event.message.schedule_id,
            timeout=None if letter.timeout is None else milliseconds(letter.timeout),
        ),
    }


def flow_json(flow: FlowKey, waiting: int) -> Json:
    """Return the state of a flow-control key for which `waiting` messages are due."""
    return {
        "flowControlKey": flow.key,
        "waitListSize": waiting,
        "parallelismMax": flow.parallelism,
        "parallelismCount": flow.active,
        "rateMax": flow.rate,
        "rateCount": flow.count,
        "ratePeriod": flow.period,
        "ratePeriodStart": int(flow.period_start),
        "isPaused": flow.paused,
        "isPinnedParallelism": flow.pinned_parallelism,
        "isPinnedRate": flow.pinned_rate,
    }


def _letter(letter: Letter) -> Json:
    limits, callback, failure = letter.limits, letter.callback, letter.failure_callback
    return {
        "method": letter.method,
        "header": grouped(letter.headers),
        **_given(
            callback=callback and callback.url,
            callbackHeader=callback and grouped(callback.headers),
            failureCallback=failure and failure.url,
            failureCallbackHeader=failure and grouped(failure.headers),
            queueName=letter.queue,
            callerIP=letter.caller_ip,
            label=letter.label,
            retryDelayExpression=letter.retry_delay,
            flowControlKey=limits and limits.key,
            parallelism=limits and limits.parallelism,
            rate=limits and limits.rate,
            period=limits and limits.period,
        ),
    }


def _text(name: str, body: bytes) -> Json:
    try:
        return {name: body.decode()}
    except UnicodeDecodeError:
        return {f"{name}Base64": base64.b64encode(body).decode()}


def _moment(seconds: float | None) -> int | None:
    return None if seconds is None else milliseconds(seconds)


def _given(**values: object) -> Json:
    return {name: value for name, value in values.items() if value is not None}
