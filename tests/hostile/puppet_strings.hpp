// What is said between a test and the worker that it plays: messages on the host channel, each a length (four
// bytes, least first), a kind and a payload.
#pragma once

#include <cstdint>

namespace sallyport::test {

enum class Pull : char {
    kSend = 's',   // payload: one frame for the broker
    kCall = 'd',   // payload: the number of a system call and its six arguments (eight bytes each)
    kFlood = 'n',  // payload: a count (four bytes); so many flushes are asked for and no reply is waited for
    kWriteArena = 'w',  // payload: offset (four bytes), then bytes
    kFlipArena =
        'F',  // payload: offset, count (four bytes each), two bytes; writes one and the other in turn
    kReadArena = 'r',    // payload: offset, size (four bytes each)
    kMute = 'm',         // from now on no reply of the broker is read
    kExit = 'x',         // payload: the status
    kCrash = 'k',        // an illegal instruction
    kIgnoreHost = 'i',   // from now on the host is not read, nor its end noticed
    kTalkAlone = 't',    // once the host has gone, asks for ever
    kCloseSocket = 'c',  // the broker's socket is closed; the worker stays
};

enum class Twitch : char {
    kWelcome = 'W',  // a new worker is there; payload: the broker's Welcome
    kReply = 'f',    // payload: a frame of the broker
    kArena = 'a',    // payload: contents of the arena
    kCalled = 'e',   // payload: errno after a system call (four bytes)
};

}  // namespace sallyport::test
