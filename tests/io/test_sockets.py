"""Listening sockets: answers leave at once."""

import asyncio
import socket

from zero2ir.io.sockets import HOST, listen


def test_connections_do_not_wait_for_further_data() -> None:
    """asyncio disables Nagle's algorithm only on sockets whose protocol is stated; with it an answer takes 40 ms."""

    async def option() -> int:
        accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        bound = listen(0)
        async with await asyncio.start_server(serve, sock=bound):
            _, writer = await asyncio.open_connection(HOST, bound.getsockname()[1])
            found = await asyncio.wait_for(accepted, 5)
            writer.close()
        return found

    assert asyncio.run(option()) == 1
