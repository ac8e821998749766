using Emulator.DriverBench.Kernel;

namespace Emulator.Cli.Bench;

/// <summary>Takes the steps of a run, and keeps what came of each.</summary>
/// <param name="hasFaults">Any step may fail, because faults are made; none may crash.</param>
internal sealed class StepLog(BenchMachine machine, bool hasFaults)
{
    private readonly List<StepResult> _steps = [];

    public IReadOnlyList<StepResult> Steps => _steps;

    public void Add(StepResult step) => _steps.Add(step);

    /// <summary>Takes a step, and lets what it leaves to be done be done. True when it went well.</summary>
    /// <param name="device">Whose step it is; null for the machine's.</param>
    /// <param name="mayFail">Its failure is an answer like another.</param>
    /// <param name="detail">What there is to say of it when it went well, or null.</param>
    public bool Do(string? device, string name, Func<uint> step, bool mayFail = false, Func<string?>? detail = null)
    {
        ulong before = machine.Cpu.InstructionsExecuted;
        bool took = false;
        string status = "";
        try
        {
            uint code = step();
            machine.Advance(0);
            (took, status) = (NtStatus.IsSuccess(code), NtStatusText.Of(code));
        }
        catch (DriverStatusException problem)
        {
            status = NtStatusText.Of(problem.Status);
        }
        catch (BugCheckException)
        {
            (status, mayFail) = ("crashed", false);
            throw;
        }
        finally
        {
            bool failed = !took && !mayFail && (!hasFaults || status == "crashed");
            if (status.Length == 0) status = "stopped";
            _steps.Add(new StepResult(
                device, name, status, failed, machine.Clock.Now, machine.Cpu.InstructionsExecuted - before, took ? detail?.Invoke() : null));
        }
        return took;
    }
}
