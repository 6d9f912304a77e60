"""Which request is answered by what."""

import contextlib
from collections.abc import Callable, Mapping

from google.rpc import code_pb2

from compressor.service.http.exchange import ClientGoneError, Exchange, Handler
from compressor.service.http.image_requests import identity
from compressor.service.http.problem import METHOD_NOT_ALLOWED, RequestError, failure_of, respond_problem


class Routes:
    """Answers requests by their path and method.

    handlers     by path, and then by method. GET includes HEAD
    is_draining  returns whether the server is about to stop: connections end after their response
    """

    def __init__(self, handlers: Mapping[str, Mapping[str, Handler]], is_draining: Callable[[], bool]) -> None:
        self._handlers, self._is_draining = handlers, is_draining

    async def answer(self, exchange: Exchange) -> None:
        """Answer a request, unless its client goes before."""
        with contextlib.suppress(ClientGoneError):
            await self._answer(exchange)

    async def _answer(self, exchange: Exchange) -> None:
        exchange.is_closing = self._is_draining()
        methods = self._handlers.get(exchange.path)
        if methods is None:
            problem = f"there is no {exchange.path!r:.80}; the paths are {', '.join(self._handlers)}"
            await self._reject(exchange, RequestError(404, code_pb2.NOT_FOUND, problem))
            return
        method = "GET" if exchange.method == "HEAD" else exchange.method
        if method not in methods:
            allowed = ", ".join(name for key in methods for name in ((key, "HEAD") if key == "GET" else (key,)))
            problem = f"the method is {exchange.method:.20}, must be {allowed}"
            error = RequestError(METHOD_NOT_ALLOWED, code_pb2.UNIMPLEMENTED, problem, [("allow", allowed)])
            await self._reject(exchange, error)
            return
        await methods[method](exchange)

    @staticmethod
    async def _reject(exchange: Exchange, error: RequestError) -> None:
        await respond_problem(exchange, error, failure_of(error), identity())
