// What a child of the inspector answers to the broker.
// Runs in:  inspector (says it), broker (hears it)
#pragma once

#include <cstddef>
#include <cstdint>

namespace sallyport::ipc {

/// The first byte of a child's frame. After it comes a part of the encoded schema.Inspected for the current query.
enum class Word : char {
    kMore = 'm',      // a part of the maximum size; more follow
    kLast = 'l',      // the last part: the query is answered
    kTooLarge = 't',  // nothing follows: the reply would be over its limit
    kNoBlocks = 'b',  // nothing follows: there is nothing to report
    kOutdated =
        'o',  // nothing follows: what the query is about has changed since the child was born; another is to answer
    kSystem = 's',  // the guest cannot say; an errno follows, in four bytes
    kNoRoom = 'n',  // nothing follows: of the inspector, which cannot begin a child now
};

/// An errno as it follows kSystem.
inline constexpr std::size_t kErrnoSize = sizeof(std::int32_t);

}  // namespace sallyport::ipc
