// Secrets: memory that held one holds it no more.
// Runs in:  worker, broker, launcher
// INVARIANT: what these programs give back to the heap is empty. base/wiped_heap.cpp, which they link, wipes each block that is freed, so that
// a string that grew, or a message that was decoded, leaves nothing behind. What stays in use, or was on the stack, is wiped by these.
#pragma once

#include <string>

namespace sallyport {

/// Wipes all that the string has room for, and empties it.
void wipe(std::string& text);

/// Wipes so much of the stack below the caller that calls which have returned have left nothing there.
void wipe_stack();

}  // namespace sallyport
